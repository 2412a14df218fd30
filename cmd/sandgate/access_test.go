package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// method returns one RPC of the API.
func method(t *testing.T, name string) protoreflect.MethodDescriptor {
	t.Helper()
	for _, m := range methods() {
		if string(m.Name()) == name {
			return m
		}
	}
	t.Fatalf("there is no RPC %s", name)
	return nil
}

// newSession makes a session with a key and returns its id.
func (w *wired) newSession(t *testing.T, key string) string {
	t.Helper()
	got := w.call(t, method(t, "CreateSession"), []byte("{}"), key)
	var reply struct{ Session struct{ ID string } }
	if err := json.Unmarshal([]byte(got.body), &reply); err != nil || reply.Session.ID == "" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	return reply.Session.ID
}

// TestAccess calls every RPC of the API with every kind of key that must not let it through.
func TestAccess(t *testing.T) {
	issuer := newIssuer(t)
	w := newWiredFor(t, &config.Config{OIDC: issuer.trusted()})
	known, err := config.Known()
	if err != nil {
		t.Fatal(err)
	}
	_, good := w.key(t, identity.Grant{Tenant: "acme"})
	revokedID, revoked := w.key(t, identity.Grant{Tenant: "acme"})
	_, expired := w.key(t, identity.Grant{Tenant: "acme", ExpiresAt: time.Now().Add(time.Second)})
	_, anything := w.key(t, identity.Grant{Tenant: "anything"}) // that a tenant may do
	_, elsewhere := w.key(t, identity.Grant{Tenant: "acme", Addresses: []string{"198.51.100.0/24"}})
	if err := w.keys.db.RevokeKey(t.Context(), revokedID, time.Now()); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	stranger := w.call(t, method(t, "ListTools"), []byte("{}"), "whoever")
	<-time.After(time.Until(time.Now().Truncate(time.Second).Add(1100 * time.Millisecond))) // until it has expired
	session := w.newSession(t, good)
	const nobodys = "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"
	if len(session) != len(nobodys) {
		t.Fatalf("ids look like %s", session)
	}
	for _, m := range methods() {
		t.Run(string(m.Parent().Name())+"/"+string(m.Name()), func(t *testing.T) {
			body := request(t, m, session)
			for what, key := range map[string]string{
				"no key": "", "a wrong key": good[:len(good)-7] + "aaaaaaa", "an expired key": expired, "a revoked key": revoked, "a key for elsewhere": elsewhere,
			} {
				got := w.call(t, m, body, key)
				if !got.says("unauthenticated", "UNAUTHENTICATED") {
					t.Errorf("%s: %d %s", what, got.status, got.body)
				}
				if got.header.Get("Www-Authenticate") == "" {
					t.Errorf("%s: the reply does not say how to authenticate", what)
				}
			}
			for what, token := range issuer.bad(t) {
				got := w.call(t, m, body, token)
				if m.IsStreamingClient() || m.IsStreamingServer() {
					if !got.says("unauthenticated", "UNAUTHENTICATED") {
						t.Errorf("a token %s: %d %s", what, got.status, got.body)
					}
				} else if diff := cmp.Diff(stranger, got, cmp.AllowUnexported(answer{})); diff != "" {
					t.Errorf("whoever, and a token %s (-whoever +token):\n%s", what, diff)
				}
			}
			lacking := without(known.Scopes, scopesOf(m))
			_, narrow := w.key(t, identity.Grant{Tenant: "acme", Scopes: lacking})
			for what, credential := range map[string]string{
				"a key": narrow, "a token of an issuer": issuer.token(t, map[string]any{"scope": strings.Join(lacking, " ")}),
				"one without any": issuer.token(t, map[string]any{"scope": ""}),
			} {
				if got := w.call(t, m, body, credential); !got.says("permission_denied", "SCOPE_MISSING") {
					t.Errorf("%s without its scope: %d %s", what, got.status, got.body)
				}
			}
			operates := slices.Contains(scopesOf(m), identity.ScopeOperator)
			if got := w.call(t, m, body, anything); got.says("permission_denied", "SCOPE_MISSING") != operates {
				t.Errorf("a key without scopes, for what is the operator's alone (%v): %d %s", operates, got.status, got.body)
			}
			if operates {
				w.refusesParts(t, m, body)
			}
			if !withSession(m.Input()) {
				return
			}
			_, other := w.key(t, identity.Grant{Tenant: "other-" + strings.ToLower(string(m.Name()))})
			theirs := w.call(t, m, body, other)
			hidden := func(a answer) bool { return a.says("not_found", "SESSION_NOT_FOUND") }
			if m.Name() == "ListCalls" { // the session only filters
				hidden = func(a answer) bool { return a.status == http.StatusOK && strings.TrimSpace(a.body) == "{}" }
			}
			if !hidden(theirs) {
				t.Errorf("the session of another tenant: %d %s", theirs.status, theirs.body)
			}
			foreign := issuer.token(t, map[string]any{"org": "other-by-token-" + strings.ToLower(string(m.Name()))})
			if got := w.call(t, m, body, foreign); !hidden(got) {
				t.Errorf("the session of another tenant, by a token of an issuer: %d %s", got.status, got.body)
			}
			none := w.call(t, m, request(t, m, nobodys), other)
			if diff := cmp.Diff(none, theirs, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("a session that is not there and one of another tenant (-none +theirs):\n%s", diff)
			}
			bound, _, err := identity.NewToken(w.keys.pepper, &identity.Principal{Tenant: "acme", Session: nobodys, Key: idOf(good)}, identity.Narrow{}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if got := w.call(t, m, body, bound); !hidden(got) {
				t.Errorf("by a token for another session: %d %s", got.status, got.body)
			}
		})
	}
	for what, credential := range map[string]string{"key": good, "token": issuer.token(t, nil)} {
		if got := w.call(t, method(t, "GetSession"), request(t, method(t, "GetSession"), session), credential); got.status != http.StatusOK {
			t.Errorf("after all that, the session's own tenant by a %s: %d %s", what, got.status, got.body)
		}
	}
}

// refusesParts calls an RPC that is the operator's with parts of an operator's key.
func (w *wired) refusesParts(t *testing.T, m protoreflect.MethodDescriptor, body []byte) {
	t.Helper()
	id, _ := w.key(t, identity.Grant{Tenant: "ops", Scopes: []string{identity.ScopeOperator, "tools"}})
	holder := &identity.Principal{Tenant: "ops", Key: id, Scopes: []string{identity.ScopeOperator, "tools"}}
	for what, narrow := range map[string]identity.Narrow{
		"for one session": {Session: "ses_1"}, "for certain tools": {Tools: []string{"file_read"}}, "for less": {Scopes: []string{"tools"}},
	} {
		token, _, err := identity.NewToken(w.keys.pepper, holder, narrow, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := w.call(t, m, body, token); !got.says("permission_denied", "SCOPE_MISSING") {
			t.Errorf("by an operator's token %s: %d %s", what, got.status, got.body)
		}
	}
}

// TestOperatorSeesAllTenants watches a gateway over the wire, by a key that may do nothing else.
func TestOperatorSeesAllTenants(t *testing.T) {
	w := newWired(t)
	url := serveBoth(t, w.server.Handler())
	for _, tenant := range []string{"acme", "other"} {
		_, key := w.key(t, identity.Grant{Tenant: tenant})
		w.newSession(t, key)
	}
	_, key := w.key(t, identity.Grant{Tenant: "ops", Scopes: []string{identity.ScopeOperator}})
	stream, err := newClient(url, key, nil).operator.WatchOverview(t.Context(), &sandgatev1.WatchOverviewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	if got := stream.Msg().GetOverview(); len(got.GetTenants()) != 2 || len(got.GetMostActive()) != 2 || got.GetSessions().GetTenants() != 2 {
		t.Errorf("%v", got)
	}
	list := method(t, "ListSessions")
	if got := w.call(t, list, request(t, list, ""), key); !got.says("permission_denied", "SCOPE_MISSING") {
		t.Errorf("it lists sessions: %d %s", got.status, got.body)
	}
	if tenants := w.keys.ring.Tenants(); len(tenants) != 2 {
		t.Errorf("it is a tenant: %v", tenants)
	}
}

func idOf(key string) string { return strings.Split(key, "_")[1] }

// TestToolsOfAKey: who may call certain tools can do nothing of their kind by another way.
func TestToolsOfAKey(t *testing.T) {
	w := newWired(t)
	_, reader := w.key(t, identity.Grant{Tenant: "acme", Tools: []string{"file_list"}})
	session := w.newSession(t, reader)
	if got := w.call(t, method(t, "ListFiles"), request(t, method(t, "ListFiles"), session), reader); got.says("permission_denied", "") {
		t.Errorf("the tool by its RPC: %s", got.body)
	}
	if got := w.call(t, method(t, "CallTool"), request(t, method(t, "CallTool"), session), reader); got.says("permission_denied", "") {
		t.Errorf("the tool by its name: %s", got.body)
	}
	for _, m := range methods() {
		switch m.Parent().Name() {
		case "ToolService", "SessionService", "IdentityService", "CallService", "OperatorService", "UsageService":
			continue
		}
		if m.Name() == "ListFiles" {
			continue
		}
		if got := w.call(t, m, request(t, m, session), reader); !got.says("permission_denied", "TOOL_REFUSED") {
			t.Errorf("%s: %d %s", m.FullName(), got.status, got.body)
		}
	}
	write := `{"sessionId":"` + session + `","name":"file_write","arguments":{"path":"x","text":"y"}}`
	if got := w.call(t, method(t, "CallTool"), []byte(write), reader); !got.says("permission_denied", "TOOL_REFUSED") {
		t.Errorf("another tool by its name: %s", got.body)
	}
	list := w.call(t, method(t, "ListTools"), []byte("{}"), reader)
	if strings.Count(list.body, `"procedure"`) != 1 || !strings.Contains(list.body, `"file_list"`) {
		t.Errorf("the catalogue: %.300s", list.body)
	}
}

// TestTokenOverTheWire hands a part of a key to somebody else.
func TestTokenOverTheWire(t *testing.T) {
	w := newWired(t)
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	session := w.newSession(t, key)
	second := w.newSession(t, key)
	got := w.call(t, method(t, "CreateToken"), []byte(`{"sessionId":"`+session+`","scopes":["sessions","identity"]}`), key)
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(got.body), &made); err != nil || made.Token == "" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	get := method(t, "GetSession")
	for _, c := range []struct {
		what, code string
		got        answer
	}{
		{"its session", "", w.call(t, get, request(t, get, session), made.Token)},
		{"another one", "not_found", w.call(t, get, request(t, get, second), made.Token)},
		{"a new one", "permission_denied", w.call(t, method(t, "CreateSession"), []byte("{}"), made.Token)},
		{"a scope that it lacks", "permission_denied", w.call(t, method(t, "ListTools"), []byte("{}"), made.Token)},
		{"a wider token", "permission_denied", w.call(t, method(t, "CreateToken"), []byte(`{"scopes":["files"]}`), made.Token)},
		{"a token for another session", "not_found", w.call(t, method(t, "CreateToken"), []byte(`{"sessionId":"`+second+`"}`), made.Token)},
	} {
		if ok := c.got.status == http.StatusOK; ok != (c.code == "") || !ok && !c.got.says(c.code, "") {
			t.Errorf("%s: %d %s", c.what, c.got.status, c.got.body)
		}
	}
	list := w.call(t, method(t, "ListSessions"), []byte("{}"), made.Token)
	if strings.Contains(list.body, second) || !strings.Contains(list.body, session) {
		t.Errorf("it lists %s", list.body)
	}
}
