package identity_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sandgate/sandgate/gateway/identity"
)

func TestTokensOnlyNarrow(t *testing.T) {
	pepper, now := identity.NewPepper(), time.Now()
	all := &identity.Principal{Tenant: "a", Key: "k"}
	some := &identity.Principal{Tenant: "a", Key: "k", Scopes: []string{"files"}, Tools: []string{"file_read"}, Session: "ses_1", Expires: now.Add(time.Minute)}
	for _, c := range []struct {
		what   string
		maker  *identity.Principal
		narrow identity.Narrow
		ok     bool
	}{
		{"as its maker", all, identity.Narrow{}, true},
		{"less", all, identity.Narrow{Scopes: []string{"files"}, Tools: []string{"file_read"}, Session: "ses_1", Life: time.Second}, true},
		{"as a narrow maker", some, identity.Narrow{}, true},
		{"the same, said again", some, identity.Narrow{Scopes: []string{"files"}, Tools: []string{"file_read"}, Session: "ses_1"}, true},
		{"another scope", some, identity.Narrow{Scopes: []string{"files", "python"}}, false},
		{"another tool", some, identity.Narrow{Tools: []string{"python_run"}}, false},
		{"another session", some, identity.Narrow{Session: "ses_2"}, false},
	} {
		text, p, err := identity.NewToken(pepper, c.maker, c.narrow, now)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if err != nil {
			continue
		}
		if p.Tenant != "a" || p.Key != "k" || !strings.HasPrefix(text, "sgt_") {
			t.Errorf("%s: %+v", c.what, p)
		}
		if !c.maker.Expires.IsZero() && p.Expires.After(c.maker.Expires) {
			t.Errorf("%s: it outlives its maker", c.what)
		}
		if c.maker.Scopes != nil && (p.Scopes == nil || p.Tools == nil || p.Session == "") {
			t.Errorf("%s: %+v is wider than its maker", c.what, p)
		}
	}
}

func TestTokenLife(t *testing.T) {
	f := newFixture(t)
	_, text := f.key(t, identity.Grant{Tenant: "a"})
	f.start(t)
	maker, err := f.ring.Check(text, here)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for life, want := range map[time.Duration]time.Duration{0: identity.DefaultTokenLife, time.Minute: time.Minute, 1000 * time.Hour: identity.MaxTokenLife} {
		_, p, err := identity.NewToken(f.pepper, maker, identity.Narrow{Life: life}, now)
		if err != nil || p.Expires.Sub(now).Round(time.Second) > want || p.Expires.Sub(now) < want-2*time.Second {
			t.Errorf("a token for %s lasts %s (%v)", life, p.Expires.Sub(now), err)
		}
	}
	short, _, err := identity.NewToken(f.pepper, maker, identity.Narrow{Life: 2 * time.Second}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ring.Check(short, here); err != nil {
		t.Errorf("a fresh token: %v", err)
	}
	eventually(t, "it expires", func() bool { _, err := f.ring.Check(short, here); return errors.Is(err, identity.ErrUnknown) })
}

func TestForgedTokens(t *testing.T) {
	f := newFixture(t)
	id, _ := f.key(t, identity.Grant{Tenant: "a"})
	f.start(t)
	text, _, err := identity.NewToken(f.pepper, &identity.Principal{Tenant: "a", Key: id, Scopes: []string{"files"}}, identity.Narrow{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ring.Check(text, here); err != nil {
		t.Fatal(err)
	}
	body, signature, _ := strings.Cut(strings.TrimPrefix(text, "sgt_"), ".")
	foreign, _, err := identity.NewToken(identity.NewPepper(), &identity.Principal{Tenant: "b"}, identity.Narrow{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	foreignBody, _, _ := strings.Cut(strings.TrimPrefix(foreign, "sgt_"), ".")
	early, _, err := identity.NewToken(f.pepper, identity.Anyone(), identity.Narrow{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for what, forged := range map[string]string{
		"another pepper": foreign, "from before there were keys": early, "another's claims": "sgt_" + foreignBody + "." + signature, "no signature": "sgt_" + body, "an empty one": "sgt_" + body + ".",
		"half of it": "sgt_" + body + "." + signature[:20], "padded": text + "=", "a body more": "sgt_" + body + "." + body + "." + signature, "huge": "sgt_" + strings.Repeat("A", 1<<20),
	} {
		if p, err := f.ring.Check(forged, here); !errors.Is(err, identity.ErrUnknown) || p != nil {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	fixture := newFixtureForFuzz(f)
	for _, seed := range []string{"", "sgk_", "sgt_", "sgk_a_b", "sgt_e30.e30", "sgt_.", "a.b.c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := fixture.Check(text, here); err == nil {
			t.Errorf("%q lets %+v in", text, p)
		}
	})
}

func newFixtureForFuzz(f *testing.F) *identity.Keyring {
	f.Helper()
	ring, err := identity.NewKeyring(f.Context(), &away{}, identity.NewPepper(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(ring.Close)
	return ring
}
