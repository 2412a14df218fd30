// Package identity says who calls: it makes and checks keys, narrows them to short-lived tokens, and
// accepts the identities of others, OpenID Connect providers and certificate authorities, where the
// operator has named them. It decides nothing about any call; the gateway asks a [Principal].
package identity

import (
	"slices"
	"time"
)

// DefaultTenant is whose everything is where nobody says otherwise.
const DefaultTenant = "default"

// ScopeOperator lets somebody look at the whole gateway, all tenants included. It is no tenant's to
// give away, so that it is held only by who was given it by name: nil scopes do not have it.
const ScopeOperator = "operator"

// A Principal is who makes a call and what it may do. It never changes. The zero value may do
// nothing, as it has no tenant.
type Principal struct {
	// Tenant is whose sessions it sees. Never empty.
	Tenant string
	// ID names it in logs: the id of a key or token, or whom somebody else vouched for. Empty on a
	// gateway without keys.
	ID string
	// Scopes are what it may do. Nil: everything that a tenant may do, which is all but [ScopeOperator].
	Scopes []string
	// Tools are the tools it may call. Nil: all.
	Tools []string
	// Session is the only session it may use. Empty: all of the tenant's.
	Session string
	// Expires is when it ends. Zero: never.
	Expires time.Time
	// Budgets are what it may use besides what its tenant may: its own and those of the tokens that it
	// was made of. None: it has no bounds of its own.
	Budgets []Spending
	// Key is the key that it goes back to, with which it ends: [Vouched] for somebody whom a
	// [Verifier] let in, empty for whoever calls a gateway without keys.
	Key string
	// Subject is whom a [Verifier] let in, by the ID that it gave them; a token has that of whoever it
	// goes back to. Empty for the holders of keys and their tokens.
	Subject string
	// Everybody is set for whoever calls a gateway that has no keys, and so is its operator.
	Everybody bool
}

// Budget is what may be used with a token. Zero fields do not bound.
type Budget struct {
	// Calls bounds the calls that run something or touch files, CPUSeconds their processor time,
	// OutputBytes the bytes of replies.
	Calls, CPUSeconds, OutputBytes int64
}

// A Spending is a budget with whom it belongs to.
type Spending struct {
	// ID is that of the token, Expires when it ends.
	ID      string
	Expires time.Time
	// Budget is what it may use.
	Budget Budget
}

// Vouched stands for a key where somebody else vouched for the caller.
const Vouched = "vouched"

// Anyone is who calls a gateway that has no keys.
func Anyone() *Principal { return &Principal{Tenant: DefaultTenant, Everybody: true} }

// Lacks returns the first of the scopes that p does not have, empty where it has all of them.
func (p *Principal) Lacks(scopes []string) string {
	for _, scope := range scopes {
		if !p.holds(scope) {
			return scope
		}
	}
	return ""
}

// holds tells whether p has a scope. Whoever is for one session or for certain tools is no operator,
// so that a part of an operator's key can be handed to an agent.
func (p *Principal) holds(scope string) bool {
	if scope != ScopeOperator {
		return p.Scopes == nil || slices.Contains(p.Scopes, scope)
	}
	return p.Everybody || slices.Contains(p.Scopes, scope) && p.Session == "" && p.Tools == nil
}

// MayCall tells whether p may call a tool.
func (p *Principal) MayCall(tool string) bool {
	return p.Tools == nil || slices.Contains(p.Tools, tool)
}

// Sees tells whether p may use a session of its tenant.
func (p *Principal) Sees(session string) bool { return p.Session == "" || p.Session == session }

// narrowed returns the part of wanted that is within allowed. Nil stands for everything on either
// side; an empty list that is not nil, for nothing.
func narrowed(allowed, wanted []string) []string {
	switch {
	case allowed == nil:
		return slices.Clone(wanted)
	case wanted == nil:
		return slices.Clone(allowed)
	}
	both := []string{}
	for _, one := range wanted {
		if slices.Contains(allowed, one) {
			both = append(both, one)
		}
	}
	return both
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
