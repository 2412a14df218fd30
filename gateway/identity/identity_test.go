package identity_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var here = netip.MustParseAddr("127.0.0.1") //nolint:gochecknoglobals // a constant

// known are the scopes and tools of these tests.
var known = identity.Known{ //nolint:gochecknoglobals // a constant
	Scopes: []string{"files", "operator", "python", "tools"}, Tools: []string{"file_read", "python_run"}}

// fixture is a keyring over a real store.
type fixture struct {
	db     *store.DB
	pepper identity.Pepper
	ring   *identity.Keyring
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{pepper: identity.NewPepper()}
	var err error
	f.db, err = store.Open(t.Context(), store.Options{Source: filepath.Join(t.TempDir(), "s.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.db.Close() })
	return f
}

// start opens the keyring.
func (f *fixture) start(t *testing.T) {
	t.Helper()
	var err error
	if f.ring, err = identity.NewKeyring(t.Context(), f.db, f.pepper, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.ring.Close)
}

// key makes a key and keeps it.
func (f *fixture) key(t *testing.T, grant identity.Grant) (id, text string) {
	t.Helper()
	key, text, err := identity.NewKey(f.pepper, grant, known, time.Now())
	if err == nil {
		err = f.db.PutKey(t.Context(), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key.ID, text
}

// eventually waits for what the keyring sees within a second.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}

func TestKeyLetsItsTenantIn(t *testing.T) {
	f := newFixture(t)
	id, text := f.key(t, identity.Grant{Tenant: "acme", Scopes: []string{"files"}, Tools: []string{"file_read"}})
	f.start(t)
	got, err := f.ring.Check(text, here)
	if err != nil {
		t.Fatal(err)
	}
	want := &identity.Principal{Tenant: "acme", ID: id, Scopes: []string{"files"}, Tools: []string{"file_read"}, Key: id}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for scope, lacks := range map[string]string{"files": "", "python": "python"} {
		if got.Lacks([]string{"files", scope}) != lacks {
			t.Errorf("lacks %q of files, %s; want %q", got.Lacks([]string{"files", scope}), scope, lacks)
		}
	}
	if !got.MayCall("file_read") || got.MayCall("python_run") {
		t.Errorf("tools: %+v", got)
	}
	if diff := cmp.Diff([]string{"acme"}, f.ring.Tenants()); diff != "" {
		t.Error(diff)
	}
}

func TestWrongKeys(t *testing.T) {
	f := newFixture(t)
	_, text := f.key(t, identity.Grant{Tenant: "acme"})
	_, other := f.key(t, identity.Grant{Tenant: "other"})
	f.start(t)
	stranger, strange, err := identity.NewKey(identity.NewPepper(), identity.Grant{Tenant: "acme"}, known, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	// Of the same id, and with a secret that another pepper hashes alike.
	mixed := text[:strings.LastIndex(text, "_")] + other[strings.LastIndex(other, "_"):]
	for what, wrong := range map[string]string{
		"empty": "", "the prefix": "sgk_", "a digit more": text + "0", "a digit less": text[:len(text)-1], "lower case": strings.ToLower(text),
		"a letter changed": strings.Replace(text, "_", "_a", 1), "of another gateway": strange, "two keys mixed": mixed,
		"the id": stranger.ID, "huge": strings.Repeat("a", 1<<20), "NUL": text + "\x00", "a token of nobody": "sgt_e30.AAAA", "half a token": "sgt_",
	} {
		if p, err := f.ring.Check(wrong, here); !errors.Is(err, identity.ErrUnknown) || p != nil {
			t.Errorf("%s: %v, %v", what, p, err)
		}
	}
}

func TestRevokedKeyIsRefusedSoon(t *testing.T) {
	f := newFixture(t)
	id, text := f.key(t, identity.Grant{Tenant: "acme"})
	f.start(t)
	p, err := f.ring.Check(text, here)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := identity.NewToken(f.pepper, p, identity.Narrow{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	// Another process does this, `sandgate key revoke`.
	if err := f.db.RevokeKey(t.Context(), id, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{text, token} {
		eventually(t, "the key is revoked", func() bool { _, err := f.ring.Check(text, here); return errors.Is(err, identity.ErrUnknown) })
	}
	if f.ring.Open() {
		t.Error("the gateway is open again after its only key was revoked")
	}
	if len(f.ring.Tenants()) != 0 {
		t.Errorf("tenants %v", f.ring.Tenants())
	}
}

func TestFirstKeyShutsTheGate(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	gate := identity.NewGate(f.ring)
	request := httptest.NewRequest(http.MethodPost, "/", nil)
	if p, err := gate.Authenticate(request); err != nil || p.Tenant != identity.DefaultTenant || p.Lacks([]string{"files"}) != "" {
		t.Fatalf("without keys: %+v, %v", p, err)
	}
	_, text := f.key(t, identity.Grant{Tenant: "acme"})
	eventually(t, "the gate is shut", func() bool { return !gate.Open() })
	if _, err := gate.Authenticate(request); !errors.Is(err, identity.ErrNone) {
		t.Errorf("without a key: %v", err)
	}
	request.Header.Set("Authorization", "bearer "+text)
	if p, err := gate.Authenticate(request); err != nil || p.Tenant != "acme" {
		t.Errorf("with the key: %+v, %v", p, err)
	}
}

func TestHeadersThatAreNotBelieved(t *testing.T) {
	f := newFixture(t)
	_, text := f.key(t, identity.Grant{Tenant: "acme", Addresses: []string{"10.0.0.0/8"}})
	_, free := f.key(t, identity.Grant{Tenant: "acme"})
	f.start(t)
	gate := identity.NewGate(f.ring)
	for what, header := range map[string]http.Header{
		"two headers":                {"Authorization": {"Bearer " + free, "Bearer " + free}},
		"another scheme":             {"Authorization": {"Basic " + free}},
		"no scheme":                  {"Authorization": {free}},
		"a huge one":                 {"Authorization": {"Bearer " + strings.Repeat("x", 1<<20)}},
		"an address that it says":    {"Authorization": {"Bearer " + text}, "X-Forwarded-For": {"10.1.2.3"}, "X-Real-Ip": {"10.1.2.3"}, "Forwarded": {"for=10.1.2.3"}},
		"what looks like a JWT":      {"Authorization": {"Bearer a.b.c"}},
		"nothing after the scheme":   {"Authorization": {"Bearer "}},
		"a key in the wrong header":  {"X-Api-Key": {free}},
		"a key in a cookie":          {"Cookie": {"Authorization=" + free}},
		"spaces and a second secret": {"Authorization": {"Bearer " + free + " " + free}},
	} {
		request := httptest.NewRequest(http.MethodPost, "/", nil)
		request.Header = header
		if p, err := gate.Authenticate(request); err == nil {
			t.Errorf("%s: let in as %+v", what, p)
		} else if strings.Contains(err.Error(), "sgk_") {
			t.Errorf("%s: the error shows the key: %v", what, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	f := newFixture(t)
	_, text := f.key(t, identity.Grant{Tenant: "acme", Addresses: []string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"}})
	f.start(t)
	for address, in := range map[string]bool{
		"10.255.0.1": true, "192.0.2.7": true, "2001:db8::1": true, "::ffff:10.0.0.1": true,
		"11.0.0.1": false, "192.0.2.8": false, "2001:db9::1": false, "::1": false,
	} {
		if _, err := f.ring.Check(text, netip.MustParseAddr(address)); (err == nil) != in {
			t.Errorf("from %s: %v", address, err)
		}
	}
	if _, err := f.ring.Check(text, netip.Addr{}); err == nil {
		t.Error("let in from nowhere")
	}
}

func TestExpiredKey(t *testing.T) {
	f := newFixture(t)
	_, text := f.key(t, identity.Grant{Tenant: "acme", ExpiresAt: time.Now().Add(300 * time.Millisecond)})
	f.start(t)
	eventually(t, "the key expires", func() bool { _, err := f.ring.Check(text, here); return errors.Is(err, identity.ErrUnknown) })
}

func TestGrantsThatAreRefused(t *testing.T) {
	for what, grant := range map[string]identity.Grant{
		"no tenant":         {},
		"a path":            {Tenant: "../x"},
		"upper case":        {Tenant: "Acme"},
		"a long tenant":     {Tenant: strings.Repeat("a", 64)},
		"a long name":       {Tenant: "a", Name: strings.Repeat("x", 101)},
		"an unknown scope":  {Tenant: "a", Scopes: []string{"file"}},
		"an unknown tool":   {Tenant: "a", Tools: []string{"rm"}},
		"no network":        {Tenant: "a", Addresses: []string{"10.0.0.1/8"}},
		"a host name":       {Tenant: "a", Addresses: []string{"localhost"}},
		"expired already":   {Tenant: "a", ExpiresAt: time.Now().Add(-time.Second)},
		"too many networks": {Tenant: "a", Addresses: make([]string, 101)},
	} {
		if _, text, err := identity.NewKey(identity.NewPepper(), grant, known, time.Now()); err == nil || text != "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestKeysAreUnlikeEachOther(t *testing.T) {
	pepper := identity.NewPepper()
	seen := map[string]bool{}
	for range 1000 {
		key, text, err := identity.NewKey(pepper, identity.Grant{Tenant: "a"}, known, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if seen[text] || seen[key.ID] || strings.Contains(string(key.Hash), text) || len(text) != len("sgk_")+16+1+43+6 {
			t.Fatalf("key %s", text)
		}
		seen[text], seen[key.ID] = true, true
	}
}

func TestLastUse(t *testing.T) {
	f := newFixture(t)
	id, text := f.key(t, identity.Grant{Tenant: "acme"})
	ring, err := identity.NewKeyring(t.Context(), f.db, f.pepper, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Truncate(time.Millisecond)
	if _, err := ring.Check(text, here); err != nil {
		t.Fatal(err)
	}
	ring.Close()
	keys, err := f.db.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if keys[0].ID != id || keys[0].LastUsedAt.Before(before) {
		t.Errorf("last used at %v, not after %v", keys[0].LastUsedAt, before)
	}
}

// away is a store whose database goes away.
type away struct {
	identity.Store

	gone bool
}

func (a *away) IdentityGeneration(context.Context) (int64, error) {
	if a.gone {
		return 0, errors.New("the disk is on fire")
	}
	return 1, nil
}
func (a *away) Keys(context.Context) ([]store.Key, error)             { return nil, nil }
func (a *away) Tenants(context.Context) ([]store.Tenant, error)       { return nil, nil }
func (a *away) TouchKeys(context.Context, map[string]time.Time) error { return nil }

// TestBlindKeyring: where it cannot be known whether a key was revoked, nobody is let in.
func TestBlindKeyring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &away{}
		ring, err := identity.NewKeyring(t.Context(), db, identity.NewPepper(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer ring.Close()
		for _, step := range []struct {
			gone  bool
			after time.Duration
			want  error
		}{{false, time.Hour, identity.ErrUnknown}, {true, 5 * time.Second, identity.ErrUnknown}, {true, 10 * time.Second, identity.ErrBlind}, {false, time.Second, identity.ErrUnknown}} {
			db.gone = step.gone
			<-time.After(step.after)
			synctest.Wait()
			if _, err := ring.Check("sgk_", here); !errors.Is(err, step.want) {
				t.Errorf("%+v: %v", step, err)
			}
		}
	})
}

// TestOperatorIsNamed: nobody sees all tenants but who was told to by name, or calls a gateway without keys.
func TestOperatorIsNamed(t *testing.T) {
	operator := []string{identity.ScopeOperator}
	for what, c := range map[string]struct {
		p   *identity.Principal
		may bool
	}{
		"anyone, without keys":    {identity.Anyone(), true},
		"by name":                 {&identity.Principal{Tenant: "a", Key: "k", Scopes: []string{"files", "operator"}}, true},
		"a tenant's key":          {&identity.Principal{Tenant: "a", Key: "k"}, false},
		"one that is vouched for": {&identity.Principal{Tenant: "a", Key: identity.Vouched}, false},
		"other scopes":            {&identity.Principal{Tenant: "a", Key: "k", Scopes: []string{"files"}}, false},
		"for one session":         {&identity.Principal{Tenant: "a", Key: "k", Scopes: operator, Session: "s"}, false},
		"for certain tools":       {&identity.Principal{Tenant: "a", Key: "k", Scopes: operator, Tools: []string{"file_read"}}, false},
		"nobody":                  {&identity.Principal{}, false},
	} {
		if may := c.p.Lacks(operator) == ""; may != c.may {
			t.Errorf("%s: %v", what, may)
		}
		// What they may not do they can hand to nobody.
		_, made, err := identity.NewToken(identity.NewPepper(), c.p, identity.Narrow{Scopes: operator}, time.Now())
		if (err == nil) != c.may || err == nil && made.Lacks(operator) != "" {
			t.Errorf("%s makes a token for it: %+v, %v", what, made, err)
		}
		if _, made, err := identity.NewToken(identity.NewPepper(), c.p, identity.Narrow{Session: c.p.Session}, time.Now()); err != nil || !c.may && made.Lacks(operator) == "" {
			t.Errorf("%s makes a token: %+v, %v", what, made, err)
		}
	}
	maker := &identity.Principal{Tenant: "a", Key: "k", Scopes: []string{"files", "operator"}}
	_, made, err := identity.NewToken(identity.NewPepper(), maker, identity.Narrow{Session: "ses_1"}, time.Now())
	if err != nil || made.Lacks(operator) == "" || made.Lacks([]string{"files"}) != "" {
		t.Errorf("an operator's token for an agent: %+v, %v", made, err)
	}
}

// TestOperatorsKeyIsNoTenant: it has no sessions, so that it makes no second tenant of its own.
func TestOperatorsKeyIsNoTenant(t *testing.T) {
	f := newFixture(t)
	f.key(t, identity.Grant{Tenant: "acme"})
	f.key(t, identity.Grant{Tenant: "ops", Scopes: []string{identity.ScopeOperator}})
	f.start(t)
	if got := f.ring.Tenants(); len(got) != 1 || got[0] != "acme" {
		t.Errorf("tenants: %v", got)
	}
}
