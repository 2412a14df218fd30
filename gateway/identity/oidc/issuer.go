package oidc

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/sandgate/sandgate/gateway/identity"
)

// MaxIssuers is how many issuers there may be.
const MaxIssuers = 16

// maxListed bounds each list that an operator writes about an issuer.
const maxListed = 100

// An Issuer is an OpenID Connect provider whose tokens are taken, and what they are taken for.
type Issuer struct {
	// URL is the issuer's, to the letter as its tokens say it: https, or http on a loopback address.
	URL string
	// Audience is what the tokens must be for: their `aud` is it, or has it among others.
	Audience string
	// Algorithms are those of signatures that are taken. Empty: RS256, ES256 and EdDSA.
	Algorithms []string
	// Tenant is that of every caller. Empty: TenantClaim names it.
	Tenant string
	// TenantClaim is the claim that holds the caller's tenant.
	TenantClaim string
	// Tenants are those that TenantClaim may name. Empty: any.
	Tenants []string
	// ScopeClaim is the claim that holds what the caller may do: a text with spaces between its words,
	// or a list of them. Empty: DefaultScopes are what everybody may.
	ScopeClaim string
	// ScopeMap says which of Sandgate's scopes a word of ScopeClaim stands for; others stand for none.
	// Empty: each stands for the scope of its name.
	ScopeMap map[string][]string
	// DefaultScopes are those of a token without the ScopeClaim. Empty: it may do nothing.
	DefaultScopes []string
	// ToolsClaim is the claim that holds the tools which the caller may call, in the forms of
	// ScopeClaim; a token without it may call none. Empty: all of them.
	ToolsClaim string
}

// Check returns everything that is wrong with an issuer.
func (i *Issuer) Check(known identity.Known) error {
	errs := []error{checkURL(i.URL)}
	if !plain(i.Audience) || len(i.Audience) > maxWord {
		errs = append(errs, errors.New("audience: say what its tokens are for, such as the URL of this gateway"))
	}
	for _, algorithm := range i.Algorithms {
		if !slices.Contains(algorithms(), algorithm) {
			errs = append(errs, fmt.Errorf("algorithms: %q is none of %s", algorithm, strings.Join(algorithms(), ", ")))
		}
	}
	if (i.Tenant == "") == (i.TenantClaim == "") {
		errs = append(errs, errors.New("say either the tenant or the tenant_claim that names it"))
	}
	if i.TenantClaim == "" && len(i.Tenants) > 0 {
		errs = append(errs, errors.New("tenants are those that a tenant_claim may name, and there is no such claim"))
	}
	if i.Tenant != "" {
		errs = append(errs, identity.CheckTenant(i.Tenant))
	}
	for _, tenant := range i.Tenants {
		errs = append(errs, identity.CheckTenant(tenant))
	}
	if i.ScopeClaim == "" && len(i.ScopeMap) > 0 {
		errs = append(errs, errors.New("scope_map reads a scope_claim, and there is none"))
	}
	if i.ScopeClaim == "" && len(i.DefaultScopes) == 0 {
		errs = append(errs, errors.New("its callers could do nothing: say a scope_claim, default_scopes, or both"))
	}
	given := slices.Clone(i.DefaultScopes)
	for _, scopes := range i.ScopeMap {
		given = append(given, scopes...)
	}
	for _, scope := range given {
		if !slices.Contains(known.Scopes, scope) {
			errs = append(errs, fmt.Errorf("there is no scope %q; there are %v", scope, known.Scopes))
		}
	}
	if max(len(i.Tenants), len(given), len(i.ScopeMap), len(i.Algorithms)) > maxListed {
		errs = append(errs, fmt.Errorf("a list has more than %d entries", maxListed))
	}
	return errors.Join(errs...)
}

// algorithms are all that may be taken: signatures whose keys are public.
func algorithms() []string {
	return []string{
		gooidc.RS256, gooidc.ES256, gooidc.EdDSA, gooidc.RS384, gooidc.RS512, gooidc.ES384, gooidc.ES512, gooidc.PS256, gooidc.PS384, gooidc.PS512,
	}
}

// usual are those of them that are taken where an operator does not say.
func usual() []string { return algorithms()[:3] }

// checkURL returns why nobody could be trusted by a URL.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "?#") || len(text) > maxWord:
		return fmt.Errorf("issuer: %q must be the URL of one, such as https://login.example.org", text)
	case !secret(u):
		return fmt.Errorf("issuer: %q must be https, as its keys come from there", text)
	default:
		return nil
	}
}

// secret tells whether nobody on the way can answer in place of a URL's host.
func secret(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "http" && onHost(u) }

// onHost tells whether a URL leads to this host alone.
func onHost(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}
