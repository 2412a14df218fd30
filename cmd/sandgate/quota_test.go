package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// limit sets what a tenant may use and returns when that holds.
func (w *wired) limit(t *testing.T, tenant string, limits quota.Limits) {
	t.Helper()
	text, err := json.Marshal(limits)
	if err == nil {
		err = w.keys.db.PutTenant(t.Context(), store.Tenant{Name: tenant, Settings: text})
	}
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); w.ledger.Account(tenant).Limits() != limits; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not see the limits")
		}
	}
}

// presenting sends a key with every call.
func presenting(key string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", "Bearer "+key)
			return next(ctx, req)
		}
	}))
}

// wantRefusal fails the test unless an error has a reason and says something.
func wantRefusal(t *testing.T, err error, reason, text string) *connect.Error {
	t.Helper()
	wire, ok := errors.AsType[*connect.Error](err)
	if !ok || !strings.Contains(err.Error(), text) || len(wire.Details()) != 1 {
		t.Fatalf("got %v, want %s: %s", err, reason, text)
	}
	value, _ := wire.Details()[0].Value()
	if detail, ok := value.(*sandgatev1.ErrorDetail); !ok || detail.GetReason() != reason || detail.GetHint() == "" {
		t.Errorf("got %v, want %s", value, reason)
	}
	return wire
}

func TestQuotas(t *testing.T) {
	w := newWired(t)
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	_, theirs := w.key(t, identity.Grant{Tenant: "other"})
	server := httptest.NewServer(w.server.Handler())
	t.Cleanup(server.Close)
	sessions := sandgatev1connect.NewSessionServiceClient(server.Client(), server.URL, presenting(key))
	usage := sandgatev1connect.NewUsageServiceClient(server.Client(), server.URL, presenting(key))
	w.limit(t, "acme", quota.Limits{Sessions: 2, StoredBytes: 1 << 30, OutputBytes: 100_000})

	var ids []string
	for range 2 {
		made, err := sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{Limits: &sandgatev1.Limits{WorkspaceBytes: 100 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.GetSession().GetId())
	}
	_, err := sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
	_ = wantRefusal(t, err, "QUOTA_EXCEEDED", "limit of 2 sessions")
	reply, err := usage.GetUsage(t.Context(), &sandgatev1.GetUsageRequest{PastHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]*sandgatev1.Quota{}
	for _, q := range reply.GetQuotas() {
		used[q.GetName()] = q
	}
	if q := used["sessions"]; q.GetUsed() != 2 || q.GetLimit() != 2 || used["stored_bytes"].GetUsed() != 200<<20 || reply.GetTenant() != "acme" {
		t.Errorf("%v", reply)
	}
	if until := time.Until(reply.GetResetsAt().AsTime()); until < 0 || until > time.Hour {
		t.Errorf("the hour is over in %s", until)
	}
	other := sandgatev1connect.NewSessionServiceClient(server.Client(), server.URL, presenting(theirs))
	if _, err := other.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	if _, err := sessions.DeleteSession(t.Context(), &sandgatev1.DeleteSessionRequest{SessionId: ids[0]}); err != nil {
		t.Fatal(err)
	}
	made, err := sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
	if err != nil {
		t.Fatalf("after one was deleted: %v", err)
	}

	// What is over is over for code and files, and not for looking and tidying up.
	tools := sandgatev1connect.NewToolServiceClient(server.Client(), server.URL, presenting(key))
	call := &sandgatev1.CallToolRequest{SessionId: made.GetSession().GetId(), Name: "file_list"}
	if _, err := tools.CallTool(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	for range 200 { // the catalogue is large
		if _, err = tools.ListTools(t.Context(), &sandgatev1.ListToolsRequest{}); err != nil {
			t.Fatal(err)
		}
		if w.ledger.Account("acme").Check() != nil {
			break
		}
	}
	_, err = tools.CallTool(t.Context(), call)
	wire := wantRefusal(t, err, "QUOTA_EXCEEDED", "limit of 100000 output_bytes")
	if wire.Meta().Get("Retry-After") == "" || !strings.Contains(wire.Meta().Get("Ratelimit-Policy"), `"output_bytes";q=100000;w=3600`) {
		t.Errorf("headers: %v", wire.Meta())
	}
	if _, err := sessions.DeleteSession(t.Context(), &sandgatev1.DeleteSessionRequest{SessionId: ids[1]}); err != nil {
		t.Errorf("a session cannot be deleted: %v", err)
	}
}

// TestTokenBudget hands a token with three calls to somebody, who hands one with two of them on.
func TestTokenBudget(t *testing.T) {
	w := newWired(t)
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	server := httptest.NewServer(w.server.Handler())
	t.Cleanup(server.Close)
	client := func(text string) (sandgatev1connect.IdentityServiceClient, sandgatev1connect.ToolServiceClient) {
		options := presenting(text)
		return sandgatev1connect.NewIdentityServiceClient(server.Client(), server.URL, options),
			sandgatev1connect.NewToolServiceClient(server.Client(), server.URL, options)
	}
	session, err := sandgatev1connect.NewSessionServiceClient(server.Client(), server.URL, presenting(key)).
		CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	narrower := func(maker string, calls int64) string {
		t.Helper()
		minter, _ := client(maker)
		reply, err := minter.CreateToken(t.Context(), &sandgatev1.CreateTokenRequest{Budget: &sandgatev1.TokenBudget{Calls: calls}})
		if err != nil {
			t.Fatal(err)
		}
		return reply.GetToken()
	}
	three := narrower(key, 3)
	two := narrower(three, 2)
	calls := 0
	call := func(with string) error {
		_, tools := client(with)
		request := &sandgatev1.CallToolRequest{SessionId: session.GetSession().GetId(), Name: "file_list"}
		if calls++; calls%2 == 0 { // one that streams, and so is looked at while it runs
			request.Name = "shell_run"
			request.Arguments, _ = structpb.NewStruct(map[string]any{"command": "echo said; sleep 0.6; echo more"})
		}
		reply, err := tools.CallTool(t.Context(), request)
		if err == nil && reply.GetStatus() != sandgatev1.Status_STATUS_OK {
			t.Errorf("%v", reply)
		}
		return err
	}
	for i, step := range []struct {
		with string
		ok   bool
	}{{two, true}, {two, true}, {two, false}, {three, true}, {three, false}, {narrower(three, 100), false}, {key, true}} {
		if err := call(step.with); (err == nil) != step.ok {
			t.Errorf("call %d: %v", i, err)
		} else if err != nil {
			_ = wantRefusal(t, err, "QUOTA_EXCEEDED", "this token is at its limit of")
		}
	}
	deep := key
	for range 8 {
		deep = narrower(deep, 5)
	}
	minter, _ := client(deep)
	_, err = minter.CreateToken(t.Context(), &sandgatev1.CreateTokenRequest{Budget: &sandgatev1.TokenBudget{Calls: 1}})
	_ = wantRefusal(t, err, "INVALID_ARGUMENT", "too many tokens")
}

// TestLimitOfCallsLeavesControl has the only call that a tenant may make run: it can be seen, ended and
// asked for again all the same.
func TestLimitOfCallsLeavesControl(t *testing.T) {
	w := newWired(t)
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	server := httptest.NewServer(w.server.Handler())
	t.Cleanup(server.Close)
	sessions := sandgatev1connect.NewSessionServiceClient(server.Client(), server.URL, presenting(key))
	tools := sandgatev1connect.NewToolServiceClient(server.Client(), server.URL, presenting(key))
	calls := sandgatev1connect.NewCallServiceClient(server.Client(), server.URL, presenting(key))
	made, err := sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	request := func(id, command string) *sandgatev1.CallToolRequest {
		arguments, _ := structpb.NewStruct(map[string]any{"command": command})
		return &sandgatev1.CallToolRequest{SessionId: made.GetSession().GetId(), Name: "shell_run", Arguments: arguments, CallId: id}
	}
	done := request("done", "echo done")
	if _, err := tools.CallTool(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	stored := w.ledger.Account("acme").Level(quota.Stored)
	w.limit(t, "acme", quota.Limits{Calls: 1, StoredBytes: stored})
	_, err = tools.CallTool(t.Context(), request("more", "echo more"))
	_ = wantRefusal(t, err, "QUOTA_EXCEEDED", "stored_bytes")
	if again, err := tools.CallTool(t.Context(), done); err != nil || !strings.Contains(again.GetContent()[0].GetText(), "done") {
		t.Errorf("what is kept is not told again: %v, %v", again, err)
	}
	w.limit(t, "acme", quota.Limits{Calls: 1})
	ended := make(chan error, 1)
	go func() {
		_, err := tools.CallTool(context.WithoutCancel(t.Context()), request("long", "sleep 60"))
		ended <- err
	}()
	for running := false; !running; <-time.After(10 * time.Millisecond) {
		list, err := calls.ListCalls(t.Context(), &sandgatev1.ListCallsRequest{Running: true})
		if err != nil {
			t.Fatal(err)
		}
		running = len(list.GetCalls()) == 1
	}
	if reply, err := calls.CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: "long"}); err != nil || !reply.GetCancelled() {
		t.Errorf("%v, %v", reply, err)
	}
	if err := <-ended; connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("it ended in %v", err)
	}
	w.limit(t, "acme", quota.Limits{OutputBytes: 1})
	_, err = calls.GetCall(t.Context(), &sandgatev1.GetCallRequest{Id: "done"})
	_ = wantRefusal(t, err, "QUOTA_EXCEEDED", "output_bytes")
	if _, err := sessions.DeleteSession(t.Context(), &sandgatev1.DeleteSessionRequest{SessionId: made.GetSession().GetId()}); err != nil {
		t.Error(err)
	}
}
