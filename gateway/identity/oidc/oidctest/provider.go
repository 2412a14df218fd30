// Package oidctest is an OpenID Connect provider for tests: it serves its configuration and its keys on
// a loopback address, signs tokens, and can be told to misbehave.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Audience is what the tokens of a provider are for.
const Audience = "https://sandgate.example"

// A Provider is an issuer. Its methods may be called by any number of goroutines.
type Provider struct {
	// URL is the issuer's.
	URL string
	// Asked counts the requests that came.
	Asked atomic.Int64

	mu        sync.Mutex
	published []jose.JSONWebKey
	misbehave http.Handler // nil: it behaves
}

// A Key is one with which a provider signs.
type Key struct {
	// ID is its name.
	ID string
	// Algorithm is that of its signatures.
	Algorithm jose.SignatureAlgorithm
	// Private is what signs.
	Private crypto.Signer
}

// New starts a provider that publishes no keys yet, and ends with the test.
func New(tb testing.TB) *Provider {
	tb.Helper()
	p := &Provider{}
	server := httptest.NewServer(p)
	tb.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// NewKey makes a key for an algorithm: RS256, ES256 or EdDSA.
func NewKey(tb testing.TB, id string, algorithm jose.SignatureAlgorithm) Key {
	tb.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case jose.RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		tb.Fatalf("no keys are made for %s", algorithm)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return Key{ID: id, Algorithm: algorithm, Private: private}
}

// Publish has the provider serve these keys and no others.
func (p *Provider) Publish(keys ...Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = nil
	for _, key := range keys {
		p.published = append(p.published, jose.JSONWebKey{
			Key: key.Private.Public(), KeyID: key.ID, Algorithm: string(key.Algorithm), Use: "sig",
		})
	}
}

// Misbehave has requests answered by somebody else, or by the provider again where that is nil.
func (p *Provider) Misbehave(handler http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.misbehave = handler
}

// ServeHTTP answers as a provider does.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.Asked.Add(1)
	p.mu.Lock()
	misbehave, published := p.misbehave, p.published
	p.mu.Unlock()
	var said any
	switch {
	case misbehave != nil:
		misbehave.ServeHTTP(w, r)
		return
	case r.URL.Path == "/.well-known/openid-configuration":
		said = map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"}
	case r.URL.Path == "/keys":
		said = jose.JSONWebKeySet{Keys: published}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(said) // who left needs no answer
}

// Claims are those of a good token, for an hour, with changes; a nil value removes a claim.
func (p *Provider) Claims(changes map[string]any) map[string]any {
	now := time.Now()
	all := map[string]any{
		"iss": p.URL, "aud": Audience, "sub": "ann", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// Sign returns a token with claims, signed by a key, and with more in its header.
func Sign(tb testing.TB, key Key, claims any, header map[jose.HeaderKey]any) string {
	tb.Helper()
	options := &jose.SignerOptions{ExtraHeaders: header}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.Algorithm, Key: jose.JSONWebKey{Key: key.Private, KeyID: key.ID}}, options)
	if err != nil {
		tb.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		tb.Fatal(err)
	}
	return SignText(tb, signer, payload)
}

// SignText returns a token with a payload as it stands.
func SignText(tb testing.TB, signer jose.Signer, payload []byte) string {
	tb.Helper()
	signed, err := signer.Sign(payload)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}
