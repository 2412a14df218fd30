// Package oidc accepts the tokens of OpenID Connect providers: signed JWTs, such as OAuth 2.0's access
// tokens in that form (RFC 9068). It believes the issuers that the operator has listed and asks nobody
// else; what a token says about where its keys are is refused.
package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/sandgate/sandgate/gateway/identity"
)

// maxToken bounds the text of a token, in bytes.
const maxToken = 16 << 10

// Options say what a verifier knows.
type Options struct {
	// Known are the scopes and tools that there are.
	Known identity.Known
	// Logger gets what no caller is told. Nil means slog.Default.
	Logger *slog.Logger
	// now is the clock of a test. Nil means time.Now.
	now func() time.Time
}

// A Verifier accepts the tokens of some issuers. It is an [identity.Verifier]. Its methods may be called
// by any number of goroutines. Close it.
type Verifier struct {
	issuers map[string]*trusted // by URL
	known   identity.Known
	now     func() time.Time
	client  *http.Client
}

// trusted is an issuer with its keys.
type trusted struct {
	Issuer
	keys    *keys
	checker *gooidc.IDTokenVerifier
}

// New returns a verifier. It asks nobody anything yet: an issuer that is away keeps no gateway from
// starting. Its error holds everything that is wrong with the issuers.
func New(issuers []Issuer, opts Options) (*Verifier, error) {
	if err := Check(issuers, opts.Known); err != nil {
		return nil, err
	}
	v := &Verifier{issuers: map[string]*trusted{}, known: opts.Known, now: opts.now, client: newHTTPClient()}
	if v.now == nil {
		v.now = time.Now
	}
	log := opts.Logger
	if log == nil {
		log = slog.Default()
	}
	for _, issuer := range issuers {
		ask := func(ctx context.Context) ([]jose.JSONWebKey, error) { return fetch(ctx, v.client, issuer.URL) }
		t := &trusted{Issuer: issuer, keys: newKeys(issuer.URL, ask, v.now, log)}
		if len(t.Algorithms) == 0 {
			t.Algorithms = usual()
		}
		t.checker = gooidc.NewVerifier(issuer.URL, t, &gooidc.Config{ClientID: issuer.Audience, SupportedSigningAlgs: t.Algorithms, Now: v.now})
		v.issuers[issuer.URL] = t
	}
	return v, nil
}

// Check returns everything that is wrong with issuers.
func Check(issuers []Issuer, known identity.Known) error {
	var errs []error
	if len(issuers) > MaxIssuers {
		errs = append(errs, fmt.Errorf("there are %d issuers; %d are allowed", len(issuers), MaxIssuers))
	}
	seen := map[string]bool{}
	for _, issuer := range issuers {
		if err := issuer.Check(known); err != nil {
			errs = append(errs, fmt.Errorf("issuer %q: %w", issuer.URL, err))
		}
		// Two that differ by their scheme alone would vouch for the same names.
		if seen[issuer.id()] {
			errs = append(errs, fmt.Errorf("issuer %q is there twice", issuer.URL))
		}
		seen[issuer.id()] = true
	}
	return errors.Join(errs...)
}

// Close ends what is being asked of issuers.
func (v *Verifier) Close() {
	for _, issuer := range v.issuers {
		issuer.keys.Close()
	}
	v.client.CloseIdleConnections()
}

// Verify returns whom a token lets in, nil where it is none of an issuer that is listed.
func (v *Verifier) Verify(r *http.Request, bearer string) (*identity.Principal, error) {
	issuer := v.issuerOf(bearer)
	if issuer == nil {
		return nil, nil
	}
	p, err := v.verify(r.Context(), issuer, bearer)
	if err != nil && !errors.Is(err, identity.ErrAway) {
		return nil, fmt.Errorf("%w: a token of %s: %w", identity.ErrUnknown, issuer.URL, err)
	}
	return p, err
}

// verify checks a token that says it is an issuer's.
func (v *Verifier) verify(ctx context.Context, issuer *trusted, bearer string) (*identity.Principal, error) {
	var away error
	ctx = context.WithValue(ctx, awayKey{}, &away)
	token, err := issuer.checker.Verify(ctx, bearer)
	switch {
	case away != nil:
		return nil, away
	case err != nil:
		return nil, err
	}
	var raw json.RawMessage
	if err := token.Claims(&raw); err != nil {
		return nil, err
	}
	c, err := readClaims(raw)
	if err != nil {
		return nil, err
	}
	return issuer.principal(c, v.known, v.now())
}

// issuerOf returns the issuer that a token says it is from, nil where that is none that is listed. It is
// no more than what the token says.
func (v *Verifier) issuerOf(bearer string) *trusted {
	parts := strings.SplitN(bearer, ".", 4)
	if len(bearer) > maxToken || len(parts) != 3 {
		return nil
	}
	c := claims{}
	if decode(parts[1], &c) != nil {
		return nil
	}
	url, err := c.text("iss")
	if err != nil {
		return nil
	}
	return v.issuers[url]
}

// decode reads a part of a token.
func decode(part string, into any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// Vouches tells whether an issuer that is listed may let somebody in for a tenant.
func (v *Verifier) Vouches(p *identity.Principal) bool {
	for _, issuer := range v.issuers {
		if strings.HasPrefix(p.Subject, issuer.id()) && issuer.mayName(p.Tenant) {
			return true
		}
	}
	return false
}

// Tenants returns those that issuers may let somebody in for. More: an issuer may name any.
func (v *Verifier) Tenants() (names []string, more bool) {
	for _, issuer := range v.issuers {
		switch {
		case issuer.TenantClaim == "":
			names = append(names, issuer.Tenant)
		case len(issuer.Tenants) == 0:
			more = true
		default:
			names = append(names, issuer.Tenants...)
		}
	}
	return names, more
}

// Issuers returns the URLs of the issuers, sorted.
func (v *Verifier) Issuers() []string {
	urls := make([]string, 0, len(v.issuers))
	for url := range v.issuers {
		urls = append(urls, url)
	}
	slices.Sort(urls)
	return urls
}
