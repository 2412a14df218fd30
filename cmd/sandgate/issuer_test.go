package main

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/identity/oidc"
	"github.com/sandgate/sandgate/gateway/identity/oidc/oidctest"
)

// issuer is a provider with one key. Its tokens name their tenant in org and may do everything, unless
// they say a scope.
type issuer struct {
	*oidctest.Provider
	key, thief oidctest.Key
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{Provider: oidctest.New(t), key: oidctest.NewKey(t, "k", jose.ES256), thief: oidctest.NewKey(t, "k", jose.ES256)}
	i.Publish(i.key)
	return i
}

// trusted are the settings of a gateway that trusts the issuer.
func (i *issuer) trusted() []oidc.Issuer {
	known, _ := config.Known() // whoever uses the settings checks the scopes
	return []oidc.Issuer{{URL: i.URL, Audience: oidctest.Audience, TenantClaim: "org", ScopeClaim: "scope", DefaultScopes: known.Scopes}}
}

// token returns a good one, of the tenant acme unless changes say otherwise.
func (i *issuer) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	return oidctest.Sign(t, i.key, i.claims(changes), nil)
}

func (i *issuer) claims(changes map[string]any) map[string]any {
	all := i.Claims(map[string]any{"org": "acme"})
	maps.Copy(all, changes)
	return all
}

// bad are tokens that let nobody in, by what they are.
func (i *issuer) bad(t *testing.T) map[string]string {
	t.Helper()
	parts := strings.Split(i.token(t, nil), ".")
	return map[string]string{
		"of another audience":  i.token(t, map[string]any{"aud": "https://other.example"}),
		"of another issuer":    i.token(t, map[string]any{"iss": "https://login.example"}),
		"that has expired":     i.token(t, map[string]any{"exp": time.Now().Add(-time.Second).Unix()}),
		"that is yet to come":  i.token(t, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		"of no tenant":         i.token(t, map[string]any{"org": "No Tenant"}),
		"by another key":       oidctest.Sign(t, i.thief, i.claims(nil), nil),
		"that brings its keys": oidctest.Sign(t, i.thief, i.claims(nil), map[jose.HeaderKey]any{"jku": i.URL + "/keys"}),
		"without a signature":  base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"that is not whole":    parts[0] + "." + parts[1],
	}
}

// TestIssuerIsAway: the gateway starts without its issuer and says what to do; keys go on working, and
// tokens do from when it answers.
func TestIssuerIsAway(t *testing.T) {
	i := newIssuer(t)
	i.Misbehave(http.NotFoundHandler())
	w := newWiredFor(t, &config.Config{OIDC: i.trusted()})
	if w.keys.gate.Open() {
		t.Error("anyone is let in while the issuer is away")
	}
	if got := w.call(t, method(t, "WhoAmI"), []byte("{}"), i.token(t, nil)); !got.says("unavailable", "ISSUER_UNAVAILABLE") || strings.Contains(got.body, i.URL) {
		t.Errorf("%d %s", got.status, got.body)
	}
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	if got := w.call(t, method(t, "WhoAmI"), []byte("{}"), key); got.status != http.StatusOK {
		t.Errorf("a key: %d %s", got.status, got.body)
	}
	if got := w.call(t, method(t, "WhoAmI"), []byte("{}"), ""); !got.says("unauthenticated", "UNAUTHENTICATED") {
		t.Errorf("nothing: %d %s", got.status, got.body)
	}
}

// TestTokenOfAToken: what the holder of an issuer's token hands out ends with it, and with the issuer.
func TestTokenOfAToken(t *testing.T) {
	i := newIssuer(t)
	state := t.TempDir()
	w := newWiredFor(t, &config.Config{StateDir: state, OIDC: i.trusted()})
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	jwt := i.token(t, map[string]any{"exp": end.Unix(), "scope": "identity sessions"})
	got := w.call(t, method(t, "CreateToken"), []byte(`{"lifetime":"86400s","scopes":["identity"]}`), jwt)
	var made struct {
		Token     string
		Principal struct {
			ExpiresAt time.Time
			Tenant    string
			Scopes    []string
		}
	}
	if err := json.Unmarshal([]byte(got.body), &made); err != nil || !made.Principal.ExpiresAt.Equal(end) || made.Principal.Tenant != "acme" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if wide := w.call(t, method(t, "CreateToken"), []byte(`{"scopes":["files"]}`), jwt); !wide.says("permission_denied", "TOKEN_TOO_WIDE") {
		t.Errorf("a wider token: %d %s", wide.status, wide.body)
	}
	if who := w.call(t, method(t, "WhoAmI"), []byte("{}"), made.Token); who.status != http.StatusOK {
		t.Errorf("by the token: %d %s", who.status, who.body)
	}
	again := w.call(t, method(t, "CreateToken"), []byte(`{"lifetime":"86400s"}`), made.Token)
	if err := json.Unmarshal([]byte(again.body), &made); err != nil || !made.Principal.ExpiresAt.Equal(end) {
		t.Errorf("a token by the token: %s", again.body)
	}
	if _, err := w.keys.ring.Check(made.Token, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	for what, settings := range map[string][]oidc.Issuer{"no issuer": nil, "another issuer": newIssuer(t).trusted()} {
		later := newWiredFor(t, &config.Config{StateDir: state, OIDC: settings})
		if got := later.call(t, method(t, "WhoAmI"), []byte("{}"), made.Token); !got.says("unauthenticated", "UNAUTHENTICATED") {
			t.Errorf("with %s: %d %s", what, got.status, got.body)
		}
	}
}

// TestTokensOfAnOpenGateway: what was handed out while anyone was let in is no use once there is an issuer.
func TestTokensOfAnOpenGateway(t *testing.T) {
	state := t.TempDir()
	open := newWiredFor(t, &config.Config{StateDir: state})
	got := open.call(t, method(t, "CreateToken"), []byte("{}"), "")
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(got.body), &made); err != nil || made.Token == "" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := open.call(t, method(t, "WhoAmI"), []byte("{}"), made.Token); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	shut := newWiredFor(t, &config.Config{StateDir: state, OIDC: newIssuer(t).trusted()})
	if got := shut.call(t, method(t, "WhoAmI"), []byte("{}"), made.Token); !got.says("unauthenticated", "UNAUTHENTICATED") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestTenantsOfVouchers: whoever may let in several tenants, or names them only later, needs gVisor or the
// operator's word.
func TestTenantsOfVouchers(t *testing.T) {
	i := newIssuer(t)
	named, some, one := i.trusted(), i.trusted(), i.trusted()
	some[0].Tenants = []string{"acme", "other"}
	one[0].Tenants = []string{"acme"}
	for what, tt := range map[string]struct {
		issuers []oidc.Issuer
		key     string // the tenant of a key, empty for none
		fits    bool
	}{
		"names them later": {named, "", false}, "several": {some, "", false}, "one": {one, "", true},
		"one, and a key of it": {one, "acme", true}, "one, and a key of another": {one, "other", false},
	} {
		w := newWiredFor(t, &config.Config{OIDC: tt.issuers})
		if tt.key != "" {
			w.key(t, identity.Grant{Tenant: tt.key})
		}
		for runtime, word := range map[string]string{"runc": config.RuntimeRunsc, "runsc": config.RuntimeRunsc, "runc ": config.RuntimeAny} {
			g := &gatewayParts{cfg: &config.Config{TenantRuntime: word}, keys: w.keys, runtime: strings.TrimSpace(runtime)}
			want := tt.fits || runtime == "runsc" || word == config.RuntimeAny
			if err := g.tenantsFit(""); (err == nil) != want {
				t.Errorf("%s, %s, %s: %v", what, runtime, word, err)
			}
		}
	}
}
