package fileurl_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/fileurl"
	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// seal makes an address of whatever is granted.
func seal(t *testing.T, sealer *fileurl.Sealer, grant gateway.FileGrant) string {
	t.Helper()
	address, err := sealer.Seal(grant)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// TestAddressesThatDoNotHold tries what somebody may make of an address: all that are not ours look alike.
func TestAddressesThatDoNotHold(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	g.put(session, "f", "secret")
	address := g.address(t, key, session, "f", false)
	sealed, name := strings.Split(address, "/")[2], "/f"
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	other, err := fileurl.NewSealer(identity.NewPepper())
	if err != nil {
		t.Fatal(err)
	}
	grant, ok := g.sealer.Open(address)
	if !ok {
		t.Fatal("the address is not ours")
	}
	forged := map[string]string{
		"nothing": "/files/", "a slash": "/files//f", "a word": "/files/garbage", "dots": "/files/..%2f..%2flivez",
		"a name too many": address + "/f", "padding": "/files/" + sealed + "=" + name, "one letter less": "/files/" + sealed[:len(sealed)-1],
		"one letter more": "/files/" + sealed + "A", "half": "/files/" + sealed[:len(sealed)/2], "twice": "/files/" + sealed + sealed,
		"very long": "/files/" + strings.Repeat("A", 50<<10), "its token": "/files/" + grant.Token,
		"another deployment's": seal(t, other, grant), "letters of no alphabet": "/files/" + strings.Repeat("+", len(sealed)),
		"a line end": "/files/" + sealed[:4] + "%0A" + sealed[4:],
	}
	for i := range raw {
		raw[i] ^= 1 << (i % 8)
		forged["a flipped bit at "+string(rune('0'+i%10))+"/"+sealed[:i%20]] = "/files/" + base64.RawURLEncoding.EncodeToString(raw) + name
		raw[i] ^= 1 << (i % 8)
	}
	alike := ""
	for what, path := range forged {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			got := g.fetch(t, method, path, nil)
			if !got.says(http.StatusNotFound, fileurl.ReasonUnknown) {
				t.Errorf("%s %s: %+v", method, what, got)
			}
			if alike == "" {
				alike = got.body
			}
			if got.body != alike {
				t.Errorf("%s %s is told apart: %s", method, what, got.body)
			}
			safe(t, what, got.header)
		}
	}
	expired := grant
	expired.Expires = time.Now().Add(-time.Second)
	if got := g.fetch(t, http.MethodGet, seal(t, g.sealer, expired), nil); !got.says(http.StatusGone, fileurl.ReasonExpired) {
		t.Errorf("expired: %+v", got)
	}
	if got := g.fetch(t, http.MethodGet, address, nil); got.status != http.StatusOK || got.body != "secret" {
		t.Errorf("the address itself: %+v", got)
	}
	if got := g.fetch(t, http.MethodGet, address+"?utm_source=mail", nil, "Authorization", "Bearer nonsense"); got.body != "secret" {
		t.Errorf("with what does not matter: %+v", got)
	}
}

// TestAddressIsForOneThing uses addresses for what they are not for.
func TestAddressIsForOneThing(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	g.put(session, "f", "content")
	down, up := g.address(t, key, session, "f", false), g.address(t, key, session, "f", true)
	for _, c := range []struct{ method, path, allow string }{
		{http.MethodPut, down, "GET, HEAD"},
		{http.MethodPost, down, "GET, HEAD"},
		{http.MethodDelete, down, "GET, HEAD"},
		{http.MethodOptions, down, "GET, HEAD"},
		{http.MethodGet, up, "PUT"},
		{http.MethodPost, up, "PUT"},
		{http.MethodPatch, up, "PUT"},
	} {
		got := g.fetch(t, c.method, c.path, strings.NewReader("other"), "Content-Type", "application/grpc")
		if !got.says(http.StatusMethodNotAllowed, fileurl.ReasonMethod) && c.method != http.MethodHead || got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %+v", c.method, c.allow, got)
		}
	}
	if content, _ := g.get(session, "f"); content != "content" {
		t.Errorf("it became %q", content)
	}
	if got := g.fetch(t, http.MethodHead, up, nil); got.status != http.StatusMethodNotAllowed || got.body != "" {
		t.Errorf("%+v", got)
	}
	// The token is for files of this session alone, but it does not come out anyway.
	grant, _ := g.sealer.Open(down)
	another := g.session(t, key)
	files := sandgatev1connect.NewFileServiceClient(g.api, "http://localhost")
	sessions := sandgatev1connect.NewSessionServiceClient(g.api, "http://localhost")
	if _, err := sessions.CreateSession(as(t.Context(), grant.Token), &sandgatev1.CreateSessionRequest{}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("with the token a session is made: %v", err)
	}
	if _, err := files.CreateFileURL(as(t.Context(), grant.Token), &sandgatev1.CreateFileURLRequest{
		SessionId: another, Path: "f", Use: sandgatev1.FileURLUse_FILE_URL_USE_UPLOAD,
	}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("with the token another session is used: %v", err)
	}
}

// TestWhoMayMakeAnAddress asks for addresses of what is not there, or not the caller's.
func TestWhoMayMakeAnAddress(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	_, other := g.key(t, identity.Grant{Tenant: "other"})
	_, narrow := g.key(t, identity.Grant{Tenant: "acme", Scopes: []string{"sessions"}})
	session := g.session(t, key)
	g.put(session, "f", "content")
	for what, c := range map[string]struct {
		key, session, path string
		upload             bool
		code               connect.Code
	}{
		"nobody":                 {"", session, "f", false, connect.CodeUnauthenticated},
		"another tenant":         {other, session, "f", false, connect.CodeNotFound},
		"another tenant, upload": {other, session, "f", true, connect.CodeNotFound},
		"without the scope":      {narrow, session, "f", false, connect.CodePermissionDenied},
		"no file":                {key, session, "missing", false, connect.CodeNotFound},
		"no session":             {key, "ses_none", "f", true, connect.CodeNotFound},
		"no path":                {key, session, "", true, connect.CodeInvalidArgument},
	} {
		if _, err := g.ask(t.Context(), c.key, c.session, c.path, c.upload); connect.CodeOf(err) != c.code {
			t.Errorf("%s: %v", what, err)
		}
	}
	before := time.Now()
	res, err := sandgatev1connect.NewFileServiceClient(g.api, "http://localhost").CreateFileURL(as(t.Context(), key), &sandgatev1.CreateFileURLRequest{
		SessionId: session, Path: "new", Use: sandgatev1.FileURLUse_FILE_URL_USE_UPLOAD, Lifetime: durationpb.New(gateway.MaxFileURLLife),
	})
	if err != nil {
		t.Fatal(err)
	}
	if life := res.GetExpiresAt().AsTime().Sub(before); life < gateway.MaxFileURLLife-time.Minute || life > gateway.MaxFileURLLife+time.Minute {
		t.Errorf("a week is %s", life)
	}
}

// TestAddressEnds ends what an address stands on.
func TestAddressEnds(t *testing.T) {
	g := newRig(t, nil)
	id, key := g.key(t, identity.Grant{Tenant: "acme"})
	_, second := g.key(t, identity.Grant{Tenant: "acme"})
	_, elsewhere := g.key(t, identity.Grant{Tenant: "acme", Addresses: []string{"192.0.2.0/24"}})
	session := g.session(t, key)
	g.put(session, "f", "content")
	first, kept := g.address(t, key, session, "f", false), g.address(t, second, session, "f", false)
	// A key that is good in one network only gives nothing that is good anywhere.
	grant, _ := g.sealer.Open(first)
	_, err := g.ask(t.Context(), elsewhere, session, "f", false) // from within, where any network is
	if err != nil {
		t.Fatal(err)
	}
	if got := g.fetch(t, http.MethodGet, g.address(t, elsewhere, session, "f", false), nil); !got.says(http.StatusGone, fileurl.ReasonRevoked) {
		t.Errorf("elsewhere: %+v", got)
	}
	if err := g.db.RevokeKey(t.Context(), id, time.Now()); err != nil {
		t.Fatal(err)
	}
	g.settle(t)
	got := g.fetch(t, http.MethodGet, first, nil)
	if !got.says(http.StatusGone, fileurl.ReasonRevoked) {
		t.Errorf("a revoked key: %+v", got)
	}
	safe(t, "a revoked key", got.header)
	grant.Token += "x"
	if got := g.fetch(t, http.MethodGet, seal(t, g.sealer, grant), nil); !got.says(http.StatusGone, fileurl.ReasonRevoked) {
		t.Errorf("a token of nobody's: %+v", got)
	}
	if got := g.fetch(t, http.MethodGet, kept, nil); got.body != "content" {
		t.Errorf("another key's: %+v", got)
	}
	sessions := sandgatev1connect.NewSessionServiceClient(g.api, "http://localhost")
	if _, err := sessions.DeleteSession(as(t.Context(), second), &sandgatev1.DeleteSessionRequest{SessionId: session}); err != nil {
		t.Fatal(err)
	}
	if got := g.fetch(t, http.MethodGet, kept, nil); !got.says(http.StatusNotFound, gateway.ReasonSessionNotFound) || strings.Contains(got.body, session) {
		t.Errorf("an ended session: %+v", got)
	}
}

// TestOpenGateway uses addresses of a gateway without keys, until it has some.
func TestOpenGateway(t *testing.T) {
	g := newRig(t, nil)
	session := g.session(t, "")
	g.put(session, "f", "content")
	down, up := g.address(t, "", session, "f", false), g.address(t, "", session, "g", true)
	if got := g.fetch(t, http.MethodGet, down, nil); got.body != "content" {
		t.Errorf("%+v", got)
	}
	if got := g.fetch(t, http.MethodPut, up, strings.NewReader("new")); got.status != http.StatusCreated {
		t.Errorf("%+v", got)
	}
	g.uploaded(t)
	if got := g.fetch(t, http.MethodGet, "/files/garbage", nil); !got.says(http.StatusNotFound, fileurl.ReasonUnknown) {
		t.Errorf("%+v", got)
	}
	g.key(t, identity.Grant{Tenant: "acme"})
	if got := g.fetch(t, http.MethodGet, down, nil); !got.says(http.StatusGone, fileurl.ReasonRevoked) {
		t.Errorf("when there are keys: %+v", got)
	}
}

// TestDoors wants a page's own requests to be refused, and a followed link not to be.
func TestDoors(t *testing.T) {
	g := newRig(t, func(o *gateway.Options) { o.AllowedOrigins = []string{"https://console.example"} })
	session := g.session(t, "")
	g.put(session, "f", "content")
	down, up := g.address(t, "", session, "f", false), g.address(t, "", session, "g", true)
	for what, c := range map[string]struct {
		method, path string
		header       []string
		status       int
	}{
		"a link that is followed":        {http.MethodGet, down, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Referer", "https://mail.example/"}, http.StatusOK},
		"a page's fetch":                 {http.MethodGet, down, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"a sandboxed page's":             {http.MethodGet, down, []string{"Origin", "null"}, http.StatusForbidden},
		"a page's upload":                {http.MethodPut, up, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"a page's preflight":             {http.MethodOptions, up, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"an allowed page":                {http.MethodGet, down, []string{"Origin", "https://console.example"}, http.StatusOK},
		"a name that leads to us (open)": {http.MethodGet, down, []string{"Host", "evil.example"}, http.StatusForbidden},
	} {
		if got := g.fetch(t, c.method, c.path, nil, c.header...); got.status != c.status {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if _, ok := g.get(session, "g"); ok {
		t.Error("a page uploaded")
	}
}

// TestNothingIsTold looks for addresses, tokens and names in all that the gateway writes, after requests of
// every outcome, and for who was served.
func TestNothingIsTold(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	g.put(session, "private-name", "content")
	g.put(session, "shrinks", strings.Repeat("x", 300_000))
	down, up := g.address(t, key, session, "private-name", false), g.address(t, key, session, "upload-name", true)
	short := g.address(t, key, session, "shrinks", false)
	g.fetch(t, http.MethodGet, down, nil)
	g.fetch(t, http.MethodPut, down, nil)
	g.fetch(t, http.MethodGet, down, nil, "Origin", "https://evil.example")
	g.fetch(t, http.MethodGet, down, nil, "Range", "bytes=100-")
	g.fetch(t, http.MethodGet, short, nil)
	g.fetch(t, http.MethodPut, up, strings.NewReader("new"))
	g.uploaded(t)
	g.fetch(t, http.MethodPut, up+"x/y/z", strings.NewReader("new"))
	grant, _ := g.sealer.Open(down)
	grant.Token += "x"
	wrong := seal(t, g.sealer, grant)
	g.fetch(t, http.MethodGet, wrong, nil)
	metrics := g.metrics(t)
	if err := g.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := g.fetch(t, http.MethodGet, down, nil); !got.says(http.StatusServiceUnavailable, gateway.ReasonDraining) {
		t.Errorf("while it drains: %+v", got)
	}
	kept := g.kept(t)
	for where, text := range map[string]string{"log": g.log.String(), "audit log": kept, "metrics": metrics} {
		for _, address := range []string{down, up, short, wrong} {
			piece := strings.Split(address, "/")[2]
			if strings.Contains(text, piece[:12]) || strings.Contains(text, piece[len(piece)-12:]) {
				t.Errorf("the %s has an address", where)
			}
		}
		for _, secret := range []string{"sgt_", "private-name", "upload-name", session, url.PathEscape(down)} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s has %q", where, secret)
			}
		}
		if !strings.Contains(text, "/files/") {
			t.Errorf("the %s has no requests:\n%s", where, text)
		}
	}
	for _, want := range []string{`"procedure":"/files/","code":"ok"`, `"tenant":"acme","key":"tok_`} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("the log does not have %s:\n%s", want, g.log.String())
		}
	}
	if !strings.Contains(kept, `the address of a file, made by `) {
		t.Errorf("the audit log does not say that an address was made:\n%s", kept)
	}
}

// TestTenantPays downloads for a tenant, whose account has the bytes once.
func TestTenantPays(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	g.put(session, "f", strings.Repeat("x", 1<<20))
	address := g.address(t, key, session, "f", false)
	before := g.output("acme")
	if got := g.fetch(t, http.MethodGet, address, nil); len(got.body) != 1<<20 {
		t.Fatalf("%+v", got)
	}
	if bytes := g.output("acme") - before; bytes < 1<<20 || bytes > 1<<20+1<<12 {
		t.Errorf("the tenant pays for %d bytes", bytes)
	}
}
