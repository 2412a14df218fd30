package oidc

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/sandgate/sandgate/gateway/identity"
)

// Bounds of what claims hold.
const (
	maxSubject = 255 // bytes; OpenID Connect Core, 2
	maxWord    = 500 // bytes of a scope, a tool, an audience or an issuer
	maxWords   = 200 // scopes or tools of a token
	maxSkew    = time.Minute
	maxSeconds = 253402300800 // the year 10000
)

// claims are those of a token, each as it was written. Their names are told apart by case, and none is
// there twice.
type claims map[string]json.RawMessage

func readClaims(payload []byte) (claims, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil || c == nil {
		return nil, errors.New("the claims are no JSON object, or one of them is there twice")
	}
	return c, nil
}

// principal returns whom claims speak of, whose signature has been looked at. Issuer and audience have
// been, too, but by a reader to whom `AUD` is `aud`.
func (i *Issuer) principal(c claims, known identity.Known, now time.Time) (*identity.Principal, error) {
	if issuer, err := c.text("iss"); err != nil || issuer != i.URL {
		return nil, errors.New("it is another issuer's")
	}
	if !c.isFor(i.Audience) {
		return nil, errors.New("it is for somebody else")
	}
	if _, bound := c["cnf"]; bound {
		return nil, errors.New("the token is bound to a key of its holder, and comes without proof of that")
	}
	expires, err := c.lasts(now)
	if err != nil {
		return nil, err
	}
	subject, err := c.text("sub")
	if err != nil || !plain(subject) || len(subject) > maxSubject {
		return nil, errors.New("sub is not the name of anybody")
	}
	p := &identity.Principal{ID: i.id() + subject, Tenant: i.Tenant, Expires: expires, Key: identity.Vouched}
	p.Subject = p.ID
	if i.TenantClaim != "" {
		p.Tenant, err = c.text(i.TenantClaim)
		if err != nil || identity.CheckTenant(p.Tenant) != nil || !i.mayName(p.Tenant) {
			return nil, fmt.Errorf("%s names no tenant that it may", i.TenantClaim)
		}
	}
	if p.Scopes, err = i.scopes(c, known); err != nil {
		return nil, err
	}
	if i.ToolsClaim != "" {
		words, err := c.words(i.ToolsClaim)
		if err != nil {
			return nil, err
		}
		p.Tools = within(words, known.Tools)
	}
	return p, nil
}

// id begins the names of those whom an issuer vouches for. An issuer's URL has no `#`.
func (i *Issuer) id() string {
	_, place, _ := strings.Cut(i.URL, "://")
	return "oidc:" + place + "#"
}

// mayName tells whether an issuer may let somebody in for a tenant.
func (i *Issuer) mayName(tenant string) bool {
	if i.TenantClaim == "" {
		return tenant == i.Tenant
	}
	return len(i.Tenants) == 0 || slices.Contains(i.Tenants, tenant)
}

// scopes returns what claims allow. Never nil, which would be everything.
func (i *Issuer) scopes(c claims, known identity.Known) ([]string, error) {
	if _, has := c[i.ScopeClaim]; i.ScopeClaim == "" || !has {
		return within(i.DefaultScopes, known.Scopes), nil
	}
	words, err := c.words(i.ScopeClaim)
	if err != nil || len(i.ScopeMap) == 0 {
		return within(words, known.Scopes), err
	}
	var meant []string
	for _, word := range words {
		meant = append(meant, i.ScopeMap[word]...)
	}
	return within(meant, known.Scopes), nil
}

// within returns those of wanted that there are, each once. Never nil.
func within(wanted, known []string) []string {
	found := []string{}
	for _, one := range known {
		if slices.Contains(wanted, one) {
			found = append(found, one)
		}
	}
	return found
}

// lasts returns when claims end, if they hold at a time. Clocks may differ by maxSkew where a token
// begins; where it ends, the earlier end is the safe one.
func (c claims) lasts(now time.Time) (time.Time, error) {
	expires, err := c.moment("exp")
	if err != nil || !now.Before(expires) {
		return time.Time{}, errors.New("the token has expired, or does not say when it does")
	}
	for _, name := range []string{"nbf", "iat"} {
		if _, has := c[name]; !has {
			continue
		}
		if begins, err := c.moment(name); err != nil || begins.After(now.Add(maxSkew)) {
			return time.Time{}, fmt.Errorf("%s: the token does not hold yet", name)
		}
	}
	return expires, nil
}

// isFor tells whether an audience is that of the claims, or one of them.
func (c claims) isFor(audience string) bool {
	if one, err := c.text("aud"); err == nil {
		return one == audience
	}
	var several []string
	return json.Unmarshal(c["aud"], &several) == nil && slices.Contains(several, audience)
}

// moment returns a claim that is a time, in seconds since 1970.
func (c claims) moment(name string) (time.Time, error) {
	var seconds *float64
	if err := json.Unmarshal(c[name], &seconds); err != nil || seconds == nil || !(*seconds >= 0 && *seconds < maxSeconds) {
		return time.Time{}, fmt.Errorf("%s is no time", name)
	}
	return time.Unix(int64(math.Floor(*seconds)), 0), nil
}

// text returns a claim that is a text.
func (c claims) text(name string) (string, error) {
	var text *string
	if err := json.Unmarshal(c[name], &text); err != nil || text == nil {
		return "", fmt.Errorf("%s is no text", name)
	}
	return *text, nil
}

// words returns a claim that is a list of words, or a text with spaces between them; none where it is
// not there.
func (c claims) words(name string) ([]string, error) {
	raw, has := c[name]
	if !has {
		return nil, nil
	}
	var words []string
	if text, err := c.text(name); err == nil {
		words = strings.Fields(text)
	} else if err := json.Unmarshal(raw, &words); err != nil || words == nil {
		return nil, fmt.Errorf("%s is neither a text nor a list of them", name)
	}
	if len(words) > maxWords || slices.ContainsFunc(words, func(w string) bool { return len(w) > maxWord }) {
		return nil, fmt.Errorf("%s is too long", name)
	}
	return words, nil
}

// plain tells whether a text is one or more printable characters of ASCII, without spaces.
func plain(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
