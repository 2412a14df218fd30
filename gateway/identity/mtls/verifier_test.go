package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/identity/mtls/mtlstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func known() identity.Known {
	return identity.Known{Scopes: []string{"files", "python"}, Tools: []string{"file_read", "python_run"}}
}

func rules() []Rule {
	return []Rule{
		{URI: "spiffe://example.org/agent/7", Tenant: "seven", Scopes: []string{"files"}},
		{URI: "spiffe://example.org/agent/*", Tenant: "acme", Scopes: []string{"files", "python"}, Tools: []string{"file_read"}},
		{URI: "spiffe://example.org/ns/*/sa/runner", Tenant: "runners", Scopes: []string{"python"}},
	}
}

// connected is a request over a connection that verified a certificate, as a server has it.
func connected(t *testing.T, roots *x509.CertPool, issued mtlstest.Issued) *http.Request {
	t.Helper()
	leaf := issued.Pair(t).Leaf
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: chains}}
}

// open returns a verifier that believes one authority, whose file is not looked at until look is called.
func open(t *testing.T, a *mtlstest.Authority) (*Verifier, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, a.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	authorities, err := loadAuthorities(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	authorities.every = time.Hour
	v := start(rules(), authorities)
	t.Cleanup(v.Close)
	return v, file
}

func TestCertificates(t *testing.T) {
	a := mtlstest.New(t, "ours")
	v, _ := open(t, a)
	for name, tt := range map[string]struct {
		uris []string
		want *identity.Principal
	}{
		"an agent": {[]string{"spiffe://example.org/agent/8"}, &identity.Principal{
			Tenant: "acme", ID: "mtls:spiffe://example.org/agent/8", Scopes: []string{"files", "python"}, Tools: []string{"file_read"},
		}},
		"the first rule": {[]string{"spiffe://example.org/agent/7"}, &identity.Principal{
			Tenant: "seven", ID: "mtls:spiffe://example.org/agent/7", Scopes: []string{"files"},
		}},
		"in the middle": {[]string{"spiffe://example.org/ns/a/sa/runner"}, &identity.Principal{
			Tenant: "runners", ID: "mtls:spiffe://example.org/ns/a/sa/runner", Scopes: []string{"python"},
		}},
		"no URI":            {},
		"two URIs":          {uris: []string{"spiffe://example.org/agent/8", "spiffe://example.org/agent/7"}},
		"twice the same":    {uris: []string{"spiffe://example.org/agent/8", "spiffe://example.org/agent/8"}},
		"another domain":    {uris: []string{"spiffe://example.com/agent/8"}},
		"a domain below":    {uris: []string{"spiffe://a.example.org/agent/8"}},
		"another scheme":    {uris: []string{"https://example.org/agent/8"}},
		"another path":      {uris: []string{"spiffe://example.org/agents/8"}},
		"a longer path":     {uris: []string{"spiffe://example.org/agent/8/9"}},
		"a shorter path":    {uris: []string{"spiffe://example.org/agent"}},
		"an empty part":     {uris: []string{"spiffe://example.org/agent/"}},
		"a way up":          {uris: []string{"spiffe://example.org/agent/.."}},
		"escapes":           {uris: []string{"spiffe://example.org/agent/%2e%2e"}},
		"a query":           {uris: []string{"spiffe://example.org/agent/8?x"}},
		"a fragment":        {uris: []string{"spiffe://example.org/agent/8#x"}},
		"a user":            {uris: []string{"spiffe://me@example.org/agent/8"}},
		"a port":            {uris: []string{"spiffe://example.org:1/agent/8"}},
		"capitals":          {uris: []string{"spiffe://EXAMPLE.org/agent/8"}},
		"no spiffe at all":  {uris: []string{"urn:agent:8"}},
		"something long":    {uris: []string{"spiffe://example.org/agent/" + strings.Repeat("a", maxURI)}},
		"an unknown runner": {uris: []string{"spiffe://example.org/ns/a/b/sa/runner"}},
	} {
		issued := a.Issue(t, time.Hour, tt.uris...)
		r := connected(t, v.Authorities(), issued)
		got, err := v.Verify(r, "")
		if tt.want != nil {
			tt.want.Subject, tt.want.Key, tt.want.Expires = tt.want.ID, identity.Vouched, issued.Pair(t).Leaf.NotAfter
			if a.Certificate.NotAfter.Before(tt.want.Expires) {
				tt.want.Expires = a.Certificate.NotAfter
			}
		}
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if got != nil && !v.Vouches(got) {
			t.Errorf("%s: not vouched for any more", name)
		}
		if got, err := v.Verify(r, "token"); got != nil || err != nil {
			t.Errorf("%s: %+v, %v where a token decides", name, got, err)
		}
	}
	if names, more := v.Tenants(); !cmp.Equal(names, []string{"seven", "acme", "runners"}) || more {
		t.Errorf("tenants %v, %v", names, more)
	}
	for _, p := range []*identity.Principal{
		{},
		{Tenant: "acme"},
		{Tenant: "acme", Subject: "oidc:x#y"},
		{Tenant: "other", Subject: "mtls:spiffe://example.org/agent/8"},
		{Tenant: "acme", Subject: "mtls:spiffe://example.org/agent/7"},
		{Tenant: "acme", Subject: "mtls:spiffe://example.org/gone"},
	} {
		if v.Vouches(p) {
			t.Errorf("vouches for %+v", p)
		}
	}
}

// TestWhatEndsAConnectionsWord: a certificate that ran out, and one whose authority is believed no more,
// let nobody in over a connection that is still open.
func TestWhatEndsAConnectionsWord(t *testing.T) {
	a, b := mtlstest.New(t, "a"), mtlstest.New(t, "b")
	v, file := open(t, a)
	in := func(r *http.Request) bool {
		p, err := v.Verify(r, "")
		if err != nil {
			t.Error(err)
		}
		return p != nil
	}
	uri := "spiffe://example.org/agent/8"
	ofA := connected(t, v.Authorities(), a.Issue(t, time.Hour, uri))
	if !in(ofA) || in(&http.Request{}) || in(&http.Request{TLS: &tls.ConnectionState{}}) {
		t.Error("before")
	}
	if until, ok := v.believed(ofA.TLS.VerifiedChains, time.Now().Add(2*time.Hour)); ok {
		t.Errorf("after its end, until %s", until)
	}
	unverified := *ofA.TLS
	unverified.VerifiedChains = nil
	if in(&http.Request{TLS: &unverified}) {
		t.Error("by a certificate that nobody verified")
	}
	for _, bad := range []string{"", "nonsense", string(a.Issue(t, time.Hour).Key), string(a.Issue(t, time.Hour).Cert), strings.Repeat("x", maxBytes+1)} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := v.authorities.look(); err == nil {
			t.Errorf("authorities were read from %.30q", bad)
		}
		if !in(ofA) {
			t.Error("what is no use in the file took the place of what was")
		}
	}
	if err := os.WriteFile(file, b.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.authorities.look(); err != nil {
		t.Fatal(err)
	}
	if in(ofA) || !in(connected(t, v.Authorities(), b.Issue(t, time.Hour, uri))) {
		t.Error("after the authority was replaced")
	}
}

// TestFileIsWatched replaces the file under a verifier that looks at it.
func TestFileIsWatched(t *testing.T) {
	a, b := mtlstest.New(t, "a"), mtlstest.New(t, "b")
	file := filepath.Join(t.TempDir(), "ca.pem")
	if _, err := New(Options{AuthorityFile: file, Rules: rules(), Known: known()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(file, a.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	authorities, err := loadAuthorities(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	authorities.every = time.Millisecond
	v := start(rules(), authorities)
	defer v.Close()
	if err := os.WriteFile(file+".new", append(b.PEM, a.PEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !authorities.current.Load().has(b.Certificate); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new authority is never believed")
		}
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	good := Rule{URI: "spiffe://example.org/agent/*", Tenant: "acme", Scopes: []string{"files"}}
	for name, change := range map[string]func(*Rule){
		"no URI":           func(r *Rule) { r.URI = "" },
		"no host":          func(r *Rule) { r.URI = "spiffe:///agent" },
		"no path":          func(r *Rule) { r.URI = "spiffe://example.org" },
		"an empty path":    func(r *Rule) { r.URI = "spiffe://example.org/" },
		"any host":         func(r *Rule) { r.URI = "spiffe://*/agent" },
		"a part of a part": func(r *Rule) { r.URI = "spiffe://example.org/agent-*" },
		"two stars":        func(r *Rule) { r.URI = "spiffe://example.org/**" },
		"capitals":         func(r *Rule) { r.URI = "spiffe://Example.org/a" },
		"escapes":          func(r *Rule) { r.URI = "spiffe://example.org/%41" },
		"no tenant":        func(r *Rule) { r.Tenant = "" },
		"no scopes":        func(r *Rule) { r.Scopes = nil },
		"another scope":    func(r *Rule) { r.Scopes = []string{"root"} },
		"another tool":     func(r *Rule) { r.Tools = []string{"rm"} },
	} {
		rule := good
		change(&rule)
		if err := Check([]Rule{rule}, known()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := Check([]Rule{good}, known()); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, MaxRules + 1} {
		if err := Check(make([]Rule, n), known()); err == nil {
			t.Errorf("%d rules: accepted", n)
		}
	}
}

// FuzzURI: what a rule matches is written in the one way that is compared, and has as many parts.
func FuzzURI(f *testing.F) {
	f.Add("spiffe://example.org/agent/8")
	f.Add("spiffe://example.org/agent/../x")
	f.Add("spiffe://example.org/ns/%2f/sa/runner")
	f.Fuzz(func(t *testing.T, uri string) {
		v := &Verifier{rules: rules()}
		rule := v.ruleFor(uri)
		if rule == nil {
			return
		}
		if strings.Count(uri, "/") != strings.Count(rule.URI, "/") || strings.ContainsAny(uri, "%?#@ \n\\") || strings.Contains(uri+"/", "/../") ||
			!strings.HasPrefix(uri, "spiffe://example.org/") {
			t.Errorf("%q matches %q", uri, rule.URI)
		}
	})
}
