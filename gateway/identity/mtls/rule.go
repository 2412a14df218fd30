package mtls

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sandgate/sandgate/gateway/identity"
)

// Bounds of rules, and of what certificates say.
const (
	// MaxRules is how many rules there may be.
	MaxRules = 1000

	maxURI = 2048 // bytes; the SPIFFE-ID specification, 2.3
)

// A Rule says whom certificates of a kind let in.
type Rule struct {
	// URI is what the one URI in a certificate must be, such as `spiffe://example.org/agent/7`. A part
	// of its path that is `*` stands for any one part, as in `spiffe://example.org/agent/*`.
	URI string
	// Tenant is that of the caller.
	Tenant string
	// Scopes are what it may do. Never empty.
	Scopes []string
	// Tools are the tools it may call. Empty: all.
	Tools []string
}

// Check returns everything that is wrong with rules.
func Check(rules []Rule, known identity.Known) error {
	var errs []error
	if len(rules) == 0 || len(rules) > MaxRules {
		errs = append(errs, fmt.Errorf("there are %d rules; there may be 1 to %d", len(rules), MaxRules))
	}
	for _, rule := range rules {
		if err := rule.check(known); err != nil {
			errs = append(errs, fmt.Errorf("rule %q: %w", rule.URI, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Rule) check(known identity.Known) error {
	errs := []error{identity.CheckTenant(r.Tenant)}
	if !plainURI(r.URI) {
		errs = append(errs, errors.New("it must look like spiffe://example.org/agent/*"))
	}
	place, path, _ := cutURI(r.URI)
	for part := range strings.SplitSeq(path, "/") {
		if part != "*" && strings.Contains(part, "*") || strings.Contains(place, "*") {
			errs = append(errs, errors.New("a * stands for one whole part of the path, and for nothing else"))
			break
		}
	}
	if len(r.Scopes) == 0 {
		errs = append(errs, fmt.Errorf("say its scopes; there are %v", known.Scopes))
	}
	for _, scope := range r.Scopes {
		if !slices.Contains(known.Scopes, scope) {
			errs = append(errs, fmt.Errorf("there is no scope %q; there are %v", scope, known.Scopes))
		}
	}
	for _, tool := range r.Tools {
		if !slices.Contains(known.Tools, tool) {
			errs = append(errs, fmt.Errorf("there is no tool %q; there are %v", tool, known.Tools))
		}
	}
	return errors.Join(errs...)
}

// matches tells whether a rule is for a plain URI.
func (r *Rule) matches(uri string) bool {
	place, path, ok := cutURI(uri)
	wantPlace, wantPath, _ := cutURI(r.URI)
	parts, want := strings.Split(path, "/"), strings.Split(wantPath, "/")
	if !ok || place != wantPlace || len(parts) != len(want) {
		return false
	}
	for i, part := range want {
		if part != "*" && part != parts[i] {
			return false
		}
	}
	return true
}

// cutURI cuts a plain URI into what is before its path, and that without its first slash.
func cutURI(uri string) (place, path string, ok bool) {
	scheme, rest, ok := strings.Cut(uri, "://")
	host, path, cut := strings.Cut(rest, "/")
	return scheme + "://" + host, path, ok && cut
}

// plainURI tells whether a URI is written in the one way in which it is compared: scheme, host in lower
// case, and a path of which no part is empty, a dot, two dots, or escaped.
func plainURI(text string) bool {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURI || u.Scheme == "" || u.Host == "" || u.Host != strings.ToLower(u.Host) ||
		u.Scheme+"://"+u.Host+u.Path != text || strings.ContainsAny(text, "%?#@") {
		return false
	}
	_, path, ok := cutURI(text)
	for part := range strings.SplitSeq(path, "/") {
		ok = ok && part != "" && part != "." && part != ".."
	}
	return ok && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
