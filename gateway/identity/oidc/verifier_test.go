package oidc

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/identity/oidc/oidctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func known() identity.Known {
	return identity.Known{Scopes: []string{"files", "python", "tools"}, Tools: []string{"file_read", "python_run"}}
}

// clock is a clock that a test moves.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += by
}

// open returns a verifier of a provider's tokens, for one tenant unless change says otherwise.
func open(t *testing.T, p *oidctest.Provider, change func(*Issuer)) (*Verifier, *clock) {
	t.Helper()
	issuer := Issuer{URL: p.URL, Audience: oidctest.Audience, Tenant: "acme", DefaultScopes: []string{"files"}}
	if change != nil {
		change(&issuer)
	}
	c := &clock{}
	v, err := New([]Issuer{issuer}, Options{Known: known(), Logger: slog.New(slog.DiscardHandler), now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v, c
}

func verify(t *testing.T, v *Verifier, token string) (*identity.Principal, error) {
	t.Helper()
	return v.Verify(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil), token)
}

func TestGoodTokens(t *testing.T) {
	p := oidctest.New(t)
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		t.Run(string(algorithm), func(t *testing.T) {
			key := oidctest.NewKey(t, "k-"+string(algorithm), algorithm)
			p.Publish(oidctest.NewKey(t, "other", jose.ES256), key)
			v, _ := open(t, p, nil)
			claims := p.Claims(map[string]any{"aud": []string{"other", oidctest.Audience}})
			got, err := verify(t, v, oidctest.Sign(t, key, claims, map[jose.HeaderKey]any{"typ": "at+jwt"}))
			if err != nil {
				t.Fatal(err)
			}
			exp, _ := claims["exp"].(int64)
			name := "oidc:" + strings.TrimPrefix(p.URL, "http://") + "#ann"
			want := &identity.Principal{Tenant: "acme", ID: name, Subject: name, Scopes: []string{"files"}, Expires: time.Unix(exp, 0), Key: identity.Vouched}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			nameless := key
			nameless.ID = ""
			if _, err := verify(t, v, oidctest.Sign(t, nameless, p.Claims(nil), nil)); err != nil {
				t.Errorf("without the key's name: %v", err)
			}
		})
	}
}

// TestBadTokens is the table of what must not be let in, by a gate as by the verifier.
func TestBadTokens(t *testing.T) {
	p, stranger := oidctest.New(t), oidctest.New(t)
	key := oidctest.NewKey(t, "k", jose.RS256)
	thief := oidctest.NewKey(t, "k", jose.RS256) // of the same name
	p.Publish(key)
	stranger.Publish(thief)
	v, _ := open(t, p, nil)
	good := oidctest.Sign(t, key, p.Claims(nil), nil)
	if _, err := verify(t, v, good); err != nil {
		t.Fatal(err)
	}
	asked := p.Asked.Load()
	now := time.Now()
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	hmacSigner, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 64))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	with := func(changes map[string]any) string { return oidctest.Sign(t, key, p.Claims(changes), nil) }
	headed := func(name jose.HeaderKey, value any) string {
		return oidctest.Sign(t, key, p.Claims(nil), map[jose.HeaderKey]any{name: value})
	}
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: thief.Private}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	own, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.Private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	again := func(old, text string) []byte { return []byte(strings.Replace(string(payload), old, text, 1)) }
	if _, err := verify(t, v, oidctest.SignText(t, own, payload)); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another key":               oidctest.Sign(t, thief, p.Claims(nil), nil),
		"a key in the header":       oidctest.SignText(t, embedded, payload),
		"a URL of keys":             oidctest.Sign(t, thief, p.Claims(nil), map[jose.HeaderKey]any{"jku": stranger.URL + "/keys"}),
		"a URL of keys, our key":    headed("jku", stranger.URL+"/keys"),
		"a URL of certificates":     headed("x5u", stranger.URL+"/keys"),
		"certificates":              headed("x5c", []string{"MIIB"}),
		"a jwk that is null":        headed("jwk", nil),
		"an extension it must know": headed("crit", []string{"exp"}),
		"of another type":           headed("typ", "logout+jwt"),
		"a type that is no text":    headed("typ", 1),
		"alg none":                  encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"alg None":                  encode([]byte(`{"alg":"None"}`)) + "." + parts[1] + "." + parts[2],
		"HS256":                     oidctest.SignText(t, hmacSigner, payload),
		"no alg":                    encode([]byte(`{"kid":"k"}`)) + "." + parts[1] + "." + parts[2],
		"other claims":              parts[0] + "." + encode([]byte(strings.Replace(string(payload), "ann", "bob", 1))) + "." + parts[2],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"another audience":          with(map[string]any{"aud": "https://other.example"}),
		"a part of the audience":    with(map[string]any{"aud": oidctest.Audience + "/x"}),
		"no audience":               with(map[string]any{"aud": nil}),
		"an audience that is none":  with(map[string]any{"aud": 7}),
		"AUD is not aud":            oidctest.SignText(t, own, again(`"aud":"`, `"aud":"https://other.example","AUD":"`)),
		"an audience twice":         oidctest.SignText(t, own, again(`"aud":"`, `"aud":"https://other.example","aud":"`)),
		"expired":                   with(map[string]any{"exp": now.Add(-time.Second).Unix()}),
		"no end":                    with(map[string]any{"exp": nil}),
		"an end that is a text":     with(map[string]any{"exp": "tomorrow"}),
		"an end beyond time":        with(map[string]any{"exp": 1e300}),
		"not yet":                   with(map[string]any{"nbf": now.Add(2 * time.Minute).Unix()}),
		"made in the future":        with(map[string]any{"iat": now.Add(2 * time.Minute).Unix()}),
		"nobody":                    with(map[string]any{"sub": nil}),
		"an empty name":             with(map[string]any{"sub": ""}),
		"a name with a line":        with(map[string]any{"sub": "ann\nlevel=ERROR"}),
		"a name beyond bounds":      with(map[string]any{"sub": strings.Repeat("a", 256)}),
		"a name that is a list":     with(map[string]any{"sub": []string{"ann"}}),
		"bound to a key":            with(map[string]any{"cnf": map[string]any{"jkt": "x"}}),
		"JSON form":                 `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"spaces in it":              parts[0] + ". " + parts[1] + "." + parts[2],
		"a fourth part":             good + ".x",
		"a long one":                good + strings.Repeat("A", maxToken),
		"another issuer's":          oidctest.Sign(t, thief, stranger.Claims(nil), nil),
		"no issuer":                 with(map[string]any{"iss": nil}),
		"an issuer with a slash":    with(map[string]any{"iss": p.URL + "/"}),
		"nothing":                   "..",
	} {
		got, err := verify(t, v, token)
		if got != nil || err != nil && !errors.Is(err, identity.ErrUnknown) || errors.Is(err, identity.ErrAway) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got := p.Asked.Load(); got != asked || stranger.Asked.Load() != 0 {
		t.Errorf("%d requests to the issuer after its keys were known, %d to others", got-asked, stranger.Asked.Load())
	}
	for name, token := range map[string]string{
		"a clock that is behind": with(map[string]any{"iat": now.Add(50 * time.Second).Unix(), "nbf": now.Add(50 * time.Second).Unix()}),
		"a fraction of a second": with(map[string]any{"exp": float64(now.Add(time.Hour).Unix()) + 0.5}),
	} {
		if _, err := verify(t, v, token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPinnedAlgorithms: a key that the issuer publishes is no use for an algorithm that is not taken.
func TestPinnedAlgorithms(t *testing.T) {
	p := oidctest.New(t)
	rsa, ec := oidctest.NewKey(t, "r", jose.RS256), oidctest.NewKey(t, "e", jose.ES256)
	p.Publish(rsa, ec)
	v, _ := open(t, p, func(i *Issuer) { i.Algorithms = []string{"ES256"} })
	if _, err := verify(t, v, oidctest.Sign(t, ec, p.Claims(nil), nil)); err != nil {
		t.Error(err)
	}
	if got, err := verify(t, v, oidctest.Sign(t, rsa, p.Claims(nil), nil)); got != nil || err == nil {
		t.Errorf("%+v, %v", got, err)
	}
	pss := rsa
	pss.Algorithm = jose.PS256
	v, _ = open(t, p, func(i *Issuer) { i.Algorithms = []string{"RS256", "PS256"} })
	if got, err := verify(t, v, oidctest.Sign(t, pss, p.Claims(nil), nil)); got != nil || err == nil {
		t.Errorf("with a key that is for another algorithm: %+v, %v", got, err)
	}
}

func TestTenants(t *testing.T) {
	p := oidctest.New(t)
	key := oidctest.NewKey(t, "k", jose.ES256)
	p.Publish(key)
	named, _ := open(t, p, func(i *Issuer) { i.Tenant, i.TenantClaim = "", "org" })
	some, _ := open(t, p, func(i *Issuer) { i.Tenant, i.TenantClaim, i.Tenants = "", "org", []string{"acme", "other"} })
	fixed, _ := open(t, p, nil)
	for _, tt := range []struct {
		v     *Verifier
		names []string
		more  bool
	}{{named, nil, true}, {some, []string{"acme", "other"}, false}, {fixed, []string{"acme"}, false}} {
		if names, more := tt.v.Tenants(); !cmp.Equal(tt.names, names) || more != tt.more {
			t.Errorf("tenants %v, %v, want %v, %v", names, more, tt.names, tt.more)
		}
	}
	for org, in := range map[any][2]bool{"acme": {true, true}, "third": {true, false}, "No Name": {}, "": {}, "-": {}, 7: {}, nil: {}} {
		token := oidctest.Sign(t, key, p.Claims(map[string]any{"org": org}), nil)
		for i, v := range []*Verifier{named, some} {
			got, err := verify(t, v, token)
			if (err == nil) != in[i] || err == nil && (got.Tenant != org || !v.Vouches(got)) {
				t.Errorf("org %v: %+v, %v", org, got, err)
			}
		}
	}
	for _, p := range []*identity.Principal{{Tenant: "other", Subject: "oidc:127.0.0.1#ann"}, {Tenant: "acme"}} {
		if fixed.Vouches(p) {
			t.Errorf("vouches for %+v", p)
		}
	}
}

// TestVouchesNoMore: what goes back to a tenant that an issuer may no longer name is not vouched for.
func TestVouchesNoMore(t *testing.T) {
	p := oidctest.New(t)
	v, _ := open(t, p, func(i *Issuer) { i.Tenant, i.TenantClaim, i.Tenants = "", "org", []string{"acme"} })
	subject := "oidc:" + strings.TrimPrefix(p.URL, "http://") + "#ann"
	for tenant, want := range map[string]bool{"acme": true, "other": false} {
		if got := v.Vouches(&identity.Principal{Tenant: tenant, Subject: subject}); got != want {
			t.Errorf("%s: %v", tenant, got)
		}
	}
}
