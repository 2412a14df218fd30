package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
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
	// Verify returns whom a request speaks for, nil where it brings nothing that this verifier
	// knows. bearer is the request's token, empty where it has none. Errors wrap [ErrUnknown].
	Verify(r *http.Request, bearer string) (*Principal, error)
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

// Authenticate returns who sends a request. Its errors wrap [ErrNone], [ErrUnknown] or [ErrBlind],
// and their texts are for the sender.
func (g *Gate) Authenticate(r *http.Request) (*Principal, error) {
	bearer, err := bearerOf(r.Header)
	if err != nil {
		return nil, err
	}
	ours := strings.HasPrefix(bearer, keyPrefix) || strings.HasPrefix(bearer, tokenPrefix)
	switch {
	case g.Open() && !strings.HasPrefix(bearer, tokenPrefix):
		return Anyone(), nil
	case ours && r.RemoteAddr == Inside:
		return g.keys.CheckInside(bearer)
	case ours:
		return g.keys.Check(bearer, addressOf(r))
	}
	for _, other := range g.others {
		if p, err := other.Verify(r, bearer); p != nil || err != nil {
			return p, err
		}
	}
	if bearer == "" {
		return nil, ErrNone
	}
	return nil, fmt.Errorf("%w: this is neither a key nor a token that this gateway knows", ErrUnknown)
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
	return errors.Is(err, ErrNone) || errors.Is(err, ErrUnknown) || errors.Is(err, ErrBlind)
}

// NewToken makes a token that may do a part of what its maker may. Its error is for the maker.
func (g *Gate) NewToken(maker *Principal, narrow Narrow) (text string, made *Principal, err error) {
	return NewToken(g.keys.pepper, maker, narrow, time.Now())
}
