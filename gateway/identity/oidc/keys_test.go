package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/identity/oidc/oidctest"
)

// perAsk is how many requests one question to an issuer is: its configuration, and its keys.
const perAsk = 2

func isAway(err error) bool { return errors.Is(err, identity.ErrAway) }

func isUnknown(err error) bool { return errors.Is(err, identity.ErrUnknown) && !isAway(err) }

// TestUnknownKeysAreAFlood: however many tokens name keys that nobody knows, at once and one after the
// other, the issuer is asked once in a while.
func TestUnknownKeysAreAFlood(t *testing.T) {
	p := oidctest.New(t)
	key := oidctest.NewKey(t, "k", jose.ES256)
	p.Publish(key)
	v, clock := open(t, p, nil)
	flood := func() {
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				unknown := key
				unknown.ID = fmt.Sprint("unknown-", i)
				got, err := verify(t, v, oidctest.Sign(t, unknown, p.Claims(nil), nil))
				if got != nil || !isUnknown(err) && !isAway(err) { // away: too many wait already
					t.Errorf("%+v, %v", got, err)
				}
			})
		}
		all.Wait()
	}
	for round := range 3 {
		flood()
		flood()
		if got := p.Asked.Load(); got != int64(perAsk*(round+1)) {
			t.Errorf("after round %d: %d requests", round, got)
		}
		if _, err := verify(t, v, oidctest.Sign(t, key, p.Claims(nil), nil)); err != nil {
			t.Error(err)
		}
		clock.move(askEvery)
	}
}

// TestRotation: a new key serves as soon as the issuer may be asked, and one that was withdrawn serves
// no more once it was.
func TestRotation(t *testing.T) {
	p := oidctest.New(t)
	first, second := oidctest.NewKey(t, "1", jose.ES256), oidctest.NewKey(t, "2", jose.EdDSA)
	p.Publish(first)
	v, clock := open(t, p, nil)
	by := func(key oidctest.Key) error {
		_, err := verify(t, v, oidctest.Sign(t, key, p.Claims(map[string]any{"exp": time.Now().Add(48 * time.Hour).Unix()}), nil))
		return err
	}
	if err := by(first); err != nil {
		t.Fatal(err)
	}
	p.Publish(second)
	if err := by(second); !isUnknown(err) {
		t.Errorf("a new key just after the issuer was asked: %v", err)
	}
	if err := by(first); err != nil {
		t.Errorf("a key that is known: %v", err)
	}
	clock.move(askEvery)
	if err := by(second); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if err := by(first); !isUnknown(err) {
		t.Errorf("a key that was withdrawn: %v", err)
	}
	// Nobody uses a name that is new: what is known is asked for again by its age.
	p.Publish(first)
	clock.move(askAfter + time.Second)
	if err := by(second); err != nil {
		t.Errorf("a key that is known, which is asked for again meanwhile: %v", err)
	}
	v.issuers[p.URL].keys.running.Wait()
	if err := by(second); !isUnknown(err) {
		t.Errorf("a key that was withdrawn and asked for again: %v", err)
	}
}

// TestIssuerAway: the verifier is made without the issuer, refuses with the right error while there are
// no keys, and goes on with those it has.
func TestIssuerAway(t *testing.T) {
	p := oidctest.New(t)
	key := oidctest.NewKey(t, "k", jose.ES256)
	p.Publish(key)
	token := oidctest.Sign(t, key, p.Claims(map[string]any{"exp": time.Now().Add(48 * time.Hour).Unix()}), nil)
	unknown := key
	unknown.ID = "new"
	later := oidctest.Sign(t, unknown, p.Claims(nil), nil)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	for name, handler := range map[string]http.Handler{
		"an error": http.NotFoundHandler(),
		"hangs up": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}),
		"no JSON":        says("<html>"),
		"null":           says("null"),
		"another issuer": says(`{"issuer":"https://login.example","jwks_uri":"https://login.example/keys"}`),
		"no keys' URL":   says(`{"issuer":"` + p.URL + `"}`),
		"keys elsewhere": says(`{"issuer":"` + p.URL + `","jwks_uri":"http://169.254.169.254/keys"}`),
		"keys in a file": says(`{"issuer":"` + p.URL + `","jwks_uri":"file:///etc/passwd"}`),
		"a redirect":     http.RedirectHandler("https://login.example/", http.StatusFound),
		"no keys":        keysSay(p, `{"keys":[]}`),
		"a secret":       keysSay(p, `{"keys":[{"kty":"oct","kid":"k","k":"AAAA"}]}`),
		"weak keys":      keysSay(p, `{"keys":[{"kty":"RSA","kid":"k","e":"AQAB","n":"`+strings.Repeat("A", 100)+`B"}]}`),
		"private keys":   keysSay(p, private(t, key)),
		"too many keys":  keysSay(p, `{"keys":[`+strings.Repeat(`{},`, maxKeys)+`{}]}`),
		"a flood":        http.HandlerFunc(flood),
		"a flood of keys": keysAre(p, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			flood(w, nil)
		})),
	} {
		t.Run(name, func(t *testing.T) {
			v, clock := open(t, p, nil)
			p.Misbehave(handler)
			defer p.Misbehave(nil)
			asked := p.Asked.Load()
			for range 5 {
				if got, err := verify(t, v, token); got != nil || !isAway(err) {
					t.Fatalf("without keys: %+v, %v", got, err)
				}
			}
			if more := p.Asked.Load() - asked; more < 1 || more > perAsk {
				t.Errorf("%d requests", more)
			}
			p.Misbehave(nil)
			clock.move(askEvery)
			if _, err := verify(t, v, token); err != nil {
				t.Fatalf("when it is back: %v", err)
			}
			p.Misbehave(handler)
			clock.move(askAfter + time.Second)
			for range 2 { // the first has it asked for again
				if _, err := verify(t, v, token); err != nil {
					t.Errorf("with keys that are known: %v", err)
				}
				v.issuers[p.URL].keys.running.Wait()
			}
			if got, err := verify(t, v, later); got != nil || !isAway(err) {
				t.Errorf("with a key that is not: %+v, %v", got, err)
			}
			clock.move(trustFor)
			if got, err := verify(t, v, token); got != nil || !isAway(err) {
				t.Errorf("with keys that are too old: %+v, %v", got, err)
			}
		})
	}
}

// TestSlowIssuer: whoever waits for an issuer that does not answer may leave, only so many wait, and the
// end of the verifier ends the question.
func TestSlowIssuer(t *testing.T) {
	p := oidctest.New(t)
	key := oidctest.NewKey(t, "k", jose.ES256)
	p.Publish(key)
	arrived := make(chan struct{}, 1)
	p.Misbehave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	v, _ := open(t, p, nil)
	token := oidctest.Sign(t, key, p.Claims(nil), nil)
	waiting := func() int {
		set := v.issuers[p.URL].keys
		set.mu.Lock()
		defer set.mu.Unlock()
		return set.waiting
	}
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range maxWaiting {
		all.Go(func() {
			request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
			if got, err := v.Verify(request, token); got != nil || !isAway(err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	<-arrived
	for deadline := time.Now().Add(20 * time.Second); waiting() < maxWaiting; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d wait", waiting())
		}
	}
	if got, err := verify(t, v, token); got != nil || !isAway(err) {
		t.Errorf("one more: %+v, %v", got, err)
	}
	leave()
	all.Wait()
	v.Close()
	if n := p.Asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	})
}

// keysAre answers for a provider's configuration as it does, and for its keys as told.
func keysAre(p *oidctest.Provider, keys http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			keys.ServeHTTP(w, r)
			return
		}
		says(`{"issuer":"`+p.URL+`","jwks_uri":"`+p.URL+`/keys"}`).ServeHTTP(w, r)
	})
}

func keysSay(p *oidctest.Provider, text string) http.Handler { return keysAre(p, says(text)) }

// flood writes without an end.
func flood(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for piece := []byte(`{"keys":[` + strings.Repeat(" ", 64<<10)); ; {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// private returns a key set that gives a key away.
func private(t *testing.T, key oidctest.Key) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Private, KeyID: key.ID}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
