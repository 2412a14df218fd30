package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Bounds of what an issuer is asked and may answer.
const (
	askTimeout    = 5 * time.Second // for its configuration and its keys together
	maxReplyBytes = 512 << 10       // of each, decompressed
	maxKeys       = 100
	minRSABits    = 2048
	maxRSABits    = 8192
)

// newHTTPClient returns a client for issuers: it follows no redirect, and reads no more than it may.
func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: boundedTransport{&http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1,
			IdleConnTimeout: askEvery, MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// boundedTransport bounds the bodies of replies.
type boundedTransport struct{ *http.Transport }

// RoundTrip sends a request.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := t.Transport.RoundTrip(r)
	if err == nil {
		reply.Body = http.MaxBytesReader(nil, reply.Body, maxReplyBytes)
	}
	return reply, err
}

// fetch asks an issuer for its configuration, and for the keys that it names.
func fetch(ctx context.Context, client *http.Client, issuer string) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(gooidc.ClientContext(ctx, client), askTimeout)
	defer cancel()
	provider, err := gooidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, fmt.Errorf("read its configuration: %w", short(err))
	}
	var said struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&said); err != nil {
		return nil, fmt.Errorf("read its configuration: %w", err)
	}
	at, err := keysURL(issuer, said.JWKS)
	if err != nil {
		return nil, err
	}
	raw, err := get(ctx, client, at)
	if err != nil {
		return nil, fmt.Errorf("read its keys: %w", err)
	}
	return readKeys(raw)
}

// keysURL returns where an issuer says that its keys are. Only one that is on this host itself may send
// us to another place there.
func keysURL(issuer, text string) (*url.URL, error) {
	from, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(text)
	fit := err == nil && at.Host != "" && (at.Scheme == "https" || secret(at) && onHost(from))
	if !fit {
		return nil, errors.New("its configuration names no https URL of its keys")
	}
	return at, nil
}

func get(ctx context.Context, client *http.Client, at *url.URL) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	reply, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Body.Close() }() // only read from
	if reply.StatusCode != http.StatusOK {
		return nil, errors.New(reply.Status)
	}
	return io.ReadAll(reply.Body)
}

// readKeys returns those of a key set that signatures may be checked with. What it does not know it
// leaves out, but a set without any is an error: it would lock everybody out.
func readKeys(raw []byte) ([]jose.JSONWebKey, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("its keys are no JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys; %d are taken at most", len(set.Keys), maxKeys)
	}
	var fit []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(text); err == nil && fits(&key) {
			fit = append(fit, key)
		}
	}
	if len(fit) == 0 {
		return nil, errors.New("none of its keys is fit for signatures")
	}
	return fit, nil
}

// fits tells whether a key is a public one, strong enough and not made to be slow.
func fits(key *jose.JSONWebKey) bool {
	if !key.Valid() || key.Use != "" && key.Use != "sig" {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits && public.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default: // private ones, and secrets that both sides would know
		return false
	}
}

// short bounds an error that may hold all that somebody answered.
func short(err error) error {
	const most = 300
	if text := err.Error(); len(text) > most {
		return errors.New(text[:most] + "…")
	}
	return err
}
