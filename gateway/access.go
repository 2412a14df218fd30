package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/catalog"
	"github.com/sandgate/sandgate/gateway/identity"
)

// Reasons of calls that are not allowed. They are part of the API.
const (
	ReasonUnauthenticated = "UNAUTHENTICATED"
	ReasonKeysUnavailable = "KEYS_UNAVAILABLE"
	ReasonIssuerAway      = "ISSUER_UNAVAILABLE"
	ReasonScopeMissing    = "SCOPE_MISSING"
	ReasonToolRefused     = "TOOL_REFUSED"
	ReasonSessionBound    = "SESSION_BOUND"
)

// Authenticator says who sends a request. *identity.Gate is one. Its methods may be called by any
// number of goroutines.
type Authenticator interface {
	// Authenticate returns who sends a request. Its errors are those of [identity.Gate].
	Authenticate(r *http.Request) (*identity.Principal, error)
	// Open tells whether anyone is let in. Once it is false it stays so.
	Open() bool
	// Onward returns the Authorization with which requests are made on behalf of whoever sent one,
	// within the gateway.
	Onward(r *http.Request, p *identity.Principal) (string, error)
}

// anyone lets everybody in.
type anyone struct{}

func (anyone) Authenticate(*http.Request) (*identity.Principal, error) { return identity.Anyone(), nil }
func (anyone) Open() bool                                              { return true }
func (anyone) Onward(*http.Request, *identity.Principal) (string, error) {
	return "", nil
}

// authenticate returns who sends a request, or a refusal for the wire, for which it sets a header.
func (s *Server) authenticate(reply http.Header, r *http.Request) (*identity.Principal, error) {
	principal, err := s.opts.Authenticator.Authenticate(r)
	switch {
	case err == nil:
		return principal, nil
	case errors.Is(err, identity.ErrBlind):
		return nil, Error(connect.CodeUnavailable, ReasonKeysUnavailable, "Try again in a few seconds.", err)
	case errors.Is(err, identity.ErrAway):
		return nil, Error(connect.CodeUnavailable, ReasonIssuerAway,
			"Try again in a few seconds; a key of the gateway's own needs nobody else.", &hiddenError{text: identity.ErrAway.Error(), cause: err})
	case !identity.IsRefusal(err):
		return nil, &hiddenError{text: "it could not be found out who calls", cause: err}
	}
	reply.Set("WWW-Authenticate", `Bearer realm="sandgate"`)
	err = Error(connect.CodeUnauthenticated, ReasonUnauthenticated,
		"Send `Authorization: Bearer KEY` with a key that `sandgate key create` made, or a token of an issuer that the gateway trusts.", err)
	s.auditRefusal(r, nil, err)
	return nil, err
}

// access is the one table of who may call what. It is made of the options in the descriptors: an RPC
// without a scope is not served at all (catalog.New).
type access struct {
	rules map[string]rule // by procedure
}

// rule is what an RPC asks of its caller.
type rule struct {
	scopes []string
	// tool is the RPC's name among the tools, empty where it is none.
	tool string
	// changes tells that the RPC has side effects.
	changes bool
	// beside tells that the RPC is no tool but belongs to a service of tools. Who may call certain
	// tools only may not do by another way what these tools do.
	beside bool
}

func newAccess(c *catalog.Catalog) access {
	a := access{rules: map[string]rule{}}
	offering := map[string]bool{}
	for _, tool := range c.Tools() {
		offering[service(tool.Proto.GetProcedure())] = true
	}
	for _, procedure := range c.Procedures() {
		options := catalog.Options(c.Method(procedure))
		a.rules[procedure] = rule{
			scopes: options.GetScopes(), tool: options.GetName(), changes: options.GetSideEffects(),
			beside: options.GetName() == "" && offering[service(procedure)],
		}
	}
	return a
}

// check returns why somebody may not call an RPC. Procedures that are not the API's, such as
// reflection, are for everybody who was let in.
func (a access) check(p *identity.Principal, procedure string) error {
	rule, ok := a.rules[procedure]
	if !ok {
		return nil
	}
	return rule.check(p)
}

// check returns why somebody may not make a call that a rule is for.
func (r rule) check(p *identity.Principal) error {
	if scope := p.Lacks(r.scopes); scope != "" {
		hint := "Use a key with that scope; yours has: " + strings.Join(p.Scopes, ", ") + "."
		if scope == identity.ScopeOperator {
			hint = "Use a key that was made with `sandgate key create --scopes operator`. It is not among what a tenant may do, nor is a token for one session or certain tools an operator's."
		}
		return Errorf(connect.CodePermissionDenied, ReasonScopeMissing, hint, "the scope %q is needed", scope)
	}
	if r.tool != "" && !p.MayCall(r.tool) || r.beside && p.Tools != nil {
		return Errorf(connect.CodePermissionDenied, ReasonToolRefused,
			"You may call: "+strings.Join(p.Tools, ", ")+".", "this key is for certain tools only")
	}
	return nil
}

// principalOf returns who makes the call that ctx belongs to. Where there is none, it is somebody
// who may do nothing and owns nothing.
func principalOf(ctx context.Context) *identity.Principal {
	if c := callFrom(ctx); c != nil && c.principal != nil {
		return c.principal
	}
	return &identity.Principal{Scopes: []string{}, Tools: []string{}}
}

// Principal returns who makes the call that ctx belongs to: somebody without a tenant where it
// belongs to none.
func Principal(ctx context.Context) *identity.Principal { return principalOf(ctx) }
