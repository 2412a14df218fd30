package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
)

// journalOfTest is a log that a test reads.
type journalOfTest struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *journalOfTest) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *journalOfTest) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// hostileIDs are in place of the ids that RPCs take: those of others, guesses, and what is no id.
func hostileIDs(others ...string) []string {
	return append(others, "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", "ses_", "..", "../../etc/passwd", "%00", "'; DROP TABLE sessions; --", "*", "%", "\u202e", "a\nlevel=ERROR msg=forged",
		"\x1b[2J", strings.Repeat("x", 64))
}

// takesIDs tells whether a field takes an id that the gateway looks up. Those of contexts and processes are
// looked up in the session.
func takesIDs(m protoreflect.MethodDescriptor, field protoreflect.FieldDescriptor) bool {
	switch field.Name() {
	case "session_id":
		return true
	case "call_id", "page_token":
		return m.Parent().Name() != "FileService"
	default:
		return false
	}
}

// TestIDsOfOthers gives every field of every RPC that takes an id those of another tenant, and what is none.
// No reply tells them apart, none says where things lie, and none is a fault of the gateway.
func TestIDsOfOthers(t *testing.T) {
	log := &journalOfTest{}
	w := newWiredTo(t, slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, victim := w.key(t, identity.Grant{Tenant: "acme"})
	_, thief := w.key(t, identity.Grant{Tenant: "thief"})
	session, own := w.newSession(t, victim), w.newSession(t, thief)
	call := `{"sessionId":"` + session + `","name":"file_list","callId":"call-of-the-victim"}`
	if got := w.call(t, method(t, "CallTool"), []byte(call), victim); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, m := range methods() {
		fields := m.Input().Fields()
		for i := range fields.Len() {
			field := fields.Get(i)
			if !takesIDs(m, field) {
				continue
			}
			var first answer
			for n, id := range hostileIDs(session, "call-of-the-victim") {
				body := map[string]any{}
				if err := json.Unmarshal(request(t, m, own), &body); err != nil {
					t.Fatal(err)
				}
				body[field.JSONName()] = id
				text, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				got := w.call(t, m, text, thief)
				if got.status >= 500 && !strings.Contains(got.body, "unimplemented") || strings.Contains(got.body, `"internal"`) {
					t.Errorf("%s.%s %q: %d %s", m.Name(), field.Name(), id, got.status, got.body)
				}
				for _, leak := range []string{"/tmp/", "/work", ".go:", "sql", "SQL", "panic", "acme"} {
					if strings.Contains(got.body, leak) {
						t.Errorf("%s.%s %q tells %q: %s", m.Name(), field.Name(), id, leak, got.body)
					}
				}
				if n == 0 {
					first = got
				} else if id == hostileIDs()[0] && m.Name() != "CallTool" && alike(first.body, session) != alike(got.body, id) {
					t.Errorf("%s.%s: another's %s\nnobody's %s", m.Name(), field.Name(), first.body, got.body)
				}
			}
		}
	}
	if got := w.call(t, method(t, "GetSession"), request(t, method(t, "GetSession"), session), victim); got.status != http.StatusOK {
		t.Errorf("the victim: %d %s", got.status, got.body)
	}
	checkLog(t, log.String(), victim, thief, session, own, "DROP TABLE", "etc/passwd")
}

// alike returns a reply without the id that was asked for, and without what differs between the thief's own
// calls, which it may list: their ids and times.
func alike(body, id string) string {
	return regexp.MustCompile(`"(call_[a-z2-7]{26}|2\d{3}-[^"]*Z)"`).ReplaceAllString(strings.ReplaceAll(body, id, "ID"), `"OWN"`)
}

// TestLogsHoldNoSecrets has everything that is secret go through the gateway, into errors as well, and looks
// for it in the log.
func TestLogsHoldNoSecrets(t *testing.T) {
	log := &journalOfTest{}
	w := newWiredTo(t, slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	session := w.newSession(t, key)
	made := w.call(t, method(t, "CreateToken"), []byte(`{}`), key)
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(made.body), &token); err != nil || token.Token == "" {
		t.Fatal(made.body)
	}
	const code, env, stdin = "print('the secret of the code')", "the secret of the environment", "the secret of stdin"
	for _, with := range []string{key, token.Token, key + "x", "Bearer " + key, strings.Repeat("k", 100_000), "a\nb", ""} {
		for name, body := range map[string]string{
			"CallTool":   fmt.Sprintf(`{"sessionId":%q,"name":"python_run","arguments":{"code":%q,"env":{"A":%q}}}`, session, code, env),
			"Run":        fmt.Sprintf(`{"sessionId":%q,"code":%q,"env":{"A":%q}}`, session, code, env),
			"Write":      fmt.Sprintf(`{"sessionId":%q,"path":"/home/user/%s","text":%q}`, session, "x", code),
			"GetSession": fmt.Sprintf(`{"sessionId":%q}`, "ses_\n{\"level\":\"ERROR\"}\x1b[2J"+strings.Repeat("y", 30)),
			"ListTools":  `{"` + stdin + `":1}`,
		} {
			_ = w.call(t, method(t, name), []byte(body), with)
		}
	}
	checkLog(t, log.String(), key, token.Token, strings.Split(token.Token, ".")[1], code, env, stdin, session, string(w.keys.pepper))
	if !strings.Contains(log.String(), `"tenant":"acme"`) {
		t.Error("the log tells nothing at all")
	}
}

// checkLog fails the test where a log holds a secret, or a line that is no line of its own.
func checkLog(t *testing.T, log string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			at := strings.Index(log, secret)
			t.Errorf("the log holds %q: %.300s", secret, log[max(0, at-200):])
		}
	}
	for line := range strings.Lines(log) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\r\x00") {
			t.Errorf("not a line: %q", line)
		}
		if len(line) > 8<<10 {
			t.Errorf("a line of %d bytes: %.500s", len(line), line)
		}
	}
}

// TestQuotaHoldsUnderParallelRequests has a tenant with room for one session ask for fifty at once, again and
// again: it never has two.
func TestQuotaHoldsUnderParallelRequests(t *testing.T) {
	w := newWired(t)
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	w.limit(t, "acme", quota.Limits{Sessions: 1})
	for range 3 {
		var all sync.WaitGroup
		made := make(chan string, 50)
		for range 50 {
			all.Go(func() {
				got := w.call(t, method(t, "CreateSession"), []byte("{}"), key)
				var reply struct{ Session struct{ ID string } }
				if json.Unmarshal([]byte(got.body), &reply) == nil && reply.Session.ID != "" {
					made <- reply.Session.ID
				} else if !got.says("resource_exhausted", "QUOTA_EXCEEDED") && !got.says("resource_exhausted", "OVERLOADED") {
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		}
		all.Wait()
		close(made)
		ids := slices.Collect(func(yield func(string) bool) {
			for id := range made {
				if !yield(id) {
					return
				}
			}
		})
		if len(ids) != 1 {
			t.Fatalf("%d sessions of one", len(ids))
		}
		if got := w.call(t, method(t, "DeleteSession"), request(t, method(t, "DeleteSession"), ids[0]), key); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		for deadline := time.Now().Add(20 * time.Second); w.ledger.Account("acme").Level(quota.Sessions) > 0; <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the place is not given back")
			}
		}
	}
}
