package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Inside is the RemoteAddr of requests that the gateway sends to itself, on behalf of one that it has
// let in. No listener gives it to a connection.
const Inside = "loopback"

// maxCredentials bounds what is read of an Authorization header.
const maxCredentials = 16 << 10

// A Verifier accepts identities that somebody else vouches for. Its methods may be called by any
// number of goroutines.
type Verifier interface {
	// Verify returns whom the bearer's token of a request lets in or, where bearer is empty, whom its
	// connection does: nil where that is nothing that this verifier knows. Whoever it returns has a
	// Subject, an end, and [Vouched] for a key. Its errors wrap [ErrUnknown] or [ErrAway]; the texts of
	// the former are for the log.
	Verify(r *http.Request, bearer string) (*Principal, error)
	// Vouches tells whether it would still let in whom a token goes back to.
	Vouches(p *Principal) bool
	// Tenants returns the names of the tenants that it may let somebody in for. More: and others, whose
	// names are not known before they come.
	Tenants() (names []string, more bool)
}

// A Gate says who sends a request: the holder of a key or token, somebody whom a verifier knows, or,
// where there are neither keys nor verifiers, anyone. Its methods may be called by any number of
// goroutines.
type Gate struct {
	keys   *Keyring
	others []Verifier
}

// NewGate returns a gate that asks a keyring, then others in their order.
func NewGate(keys *Keyring, others ...Verifier) *Gate { return &Gate{keys: keys, others: others} }

// Open tells whether anyone is let in. Once it is false it stays so.
func (g *Gate) Open() bool { return len(g.others) == 0 && g.keys.Open() }

// Authenticate returns who sends a request. Where it brings a bearer's token, that decides; but it must
// be of the tenant of the connection, where that lets somebody in. Its errors wrap [ErrNone],
// [ErrUnknown], [ErrBlind] or [ErrAway], and their texts are for the sender.
func (g *Gate) Authenticate(r *http.Request) (*Principal, error) {
	bearer, err := bearerOf(r.Header)
	switch {
	case err != nil:
		return nil, err
	case g.Open() && !strings.HasPrefix(bearer, tokenPrefix):
		return Anyone(), nil
	case bearer == "":
		p, err := g.vouched(r, "")
		if p == nil && err == nil {
			return nil, ErrNone
		}
		return p, err
	}
	ask := g.vouched
	if strings.HasPrefix(bearer, keyPrefix) || strings.HasPrefix(bearer, tokenPrefix) {
		ask = g.ours
	}
	p, err := ask(r, bearer)
	if err == nil && p == nil {
		err = errStranger
	}
	if err == nil {
		err = g.agrees(r, p)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// ours returns whom a key or token of this gateway lets in.
func (g *Gate) ours(r *http.Request, bearer string) (*Principal, error) {
	check := func() (*Principal, error) { return g.keys.Check(bearer, addressOf(r)) }
	if r.RemoteAddr == Inside {
		check = func() (*Principal, error) { return g.keys.CheckInside(bearer) }
	}
	p, err := check()
	switch {
	case err != nil:
		return nil, err
	case p.Key == "" && !g.Open():
		return nil, fmt.Errorf("%w: the token is from before anybody had to say who they are", ErrUnknown)
	case p.Key == Vouched && !slices.ContainsFunc(g.others, func(v Verifier) bool { return v.Vouches(p) }):
		return nil, fmt.Errorf("%w: nobody vouches any more for whom the token goes back to", ErrUnknown)
	}
	return p, nil
}

// vouched returns whom a verifier lets in, nil for nobody. Whoever is refused learns no reason: all
// who are get the same words, as those do whose token nobody knows.
func (g *Gate) vouched(r *http.Request, bearer string) (*Principal, error) {
	for _, other := range g.others {
		p, err := other.Verify(r, bearer)
		if errors.Is(err, ErrUnknown) {
			g.keys.log.DebugContext(r.Context(), "somebody was not let in", "err", err)
			return nil, errStranger
		}
		if p != nil || err != nil {
			return p, err
		}
	}
	return nil, nil
}

// agrees returns why somebody is not let in whose connection is another tenant's.
func (g *Gate) agrees(r *http.Request, p *Principal) error {
	if r.TLS == nil {
		return nil
	}
	connected, err := g.vouched(r, "")
	if err != nil || connected == nil || connected.Tenant == p.Tenant {
		return err
	}
	g.keys.log.DebugContext(r.Context(), "somebody was not let in: their certificate and their token are of two tenants",
		"certificate", connected.ID, "token", p.ID)
	return errStranger
}

// Tenants returns the names of the tenants that somebody may be let in for, sorted. More: and others,
// whose names are not known before they come.
func (g *Gate) Tenants() (names []string, more bool) {
	names = slices.Clone(g.keys.Tenants())
	for _, other := range g.others {
		its, others := other.Tenants()
		names, more = append(names, its...), more || others
	}
	slices.Sort(names)
	return slices.Compact(names), more
}

// bearerOf returns the token of an Authorization header (RFC 6750), empty where there is none.
func bearerOf(header http.Header) (string, error) {
	values := header["Authorization"]
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", fmt.Errorf("%w: there are %d Authorization headers", ErrUnknown, len(values))
	case len(values[0]) > maxCredentials:
		return "", fmt.Errorf("%w: the Authorization header is too long", ErrUnknown)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", fmt.Errorf("%w: the Authorization header must say Bearer", ErrUnknown)
	}
	return strings.TrimSpace(token), nil
}

// addressOf returns where a connection comes from. No header is believed.
func addressOf(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a unix socket; in no network
	}
	return address.Addr().Unmap()
}

// IsRefusal tells whether an error is one of those of [Gate.Authenticate].
func IsRefusal(err error) bool {
	return errors.Is(err, ErrNone) || errors.Is(err, ErrUnknown) || errors.Is(err, ErrBlind) || errors.Is(err, ErrAway)
}

// NewToken makes a token that may do a part of what its maker may. Its error is for the maker.
func (g *Gate) NewToken(maker *Principal, narrow Narrow) (text string, made *Principal, err error) {
	return NewToken(g.keys.pepper, maker, narrow, time.Now())
}

// Onward returns the Authorization of requests that the gateway makes to itself on behalf of whoever
// sent one: the sender's own or, where their connection says who they are, a token in their name.
func (g *Gate) Onward(r *http.Request, p *Principal) (string, error) {
	if bearer, err := bearerOf(r.Header); bearer != "" || err != nil || p.Key != Vouched {
		return r.Header.Get("Authorization"), err
	}
	same := *p
	same.Expires = earlier(p.Expires, time.Now().Add(DefaultTokenLife))
	text, err := sign(g.keys.pepper, &same)
	return "Bearer " + text, err
}
