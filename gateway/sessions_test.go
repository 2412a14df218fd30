package gateway

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

func (h *house) mustCreate(tb testing.TB, req *sandgatev1.CreateSessionRequest) *sandgatev1.Session {
	tb.Helper()
	res, err := h.createSession(anybody(tb.Context()), req)
	if err != nil {
		tb.Fatal(err)
	}
	return res.GetSession()
}

// wantError checks code and reason of an RPC error.
func wantError(tb testing.TB, err error, code connect.Code, reason string) {
	tb.Helper()
	var rpcErr *connect.Error
	if !errors.As(err, &rpcErr) {
		tb.Fatalf("got %v, want an RPC error %s %s", err, code, reason)
	}
	if rpcErr.Code() != code || reasonOf(rpcErr) != reason {
		tb.Errorf("got %s %q (%v), want %s %q", rpcErr.Code(), reasonOf(rpcErr), err, code, reason)
	}
}

func reasonOf(err *connect.Error) string {
	for _, detail := range err.Details() {
		value, valueErr := detail.Value()
		if text, ok := value.(*sandgatev1.ErrorDetail); valueErr == nil && ok && text.GetHint() != "" {
			return text.GetReason()
		}
	}
	return ""
}

func TestCreateSession(t *testing.T) {
	h := newHouse(t, nil)
	got := h.mustCreate(t, &sandgatev1.CreateSessionRequest{Metadata: map[string]string{"agent": "a1"}})
	if !regexp.MustCompile(`^ses_[a-z2-7]{26}$`).MatchString(got.GetId()) {
		t.Errorf("id %q", got.GetId())
	}
	if got.GetTemplate() != "python" || got.GetRuntime() != "runc" || got.GetState() != sandgatev1.SessionState_SESSION_STATE_RUNNING {
		t.Errorf("got %v", got)
	}
	if l := got.GetLimits(); l.GetMemoryBytes() != sandbox.GiB || l.GetCpuMillis() != 1000 || l.GetWorkspaceBytes() != 512*sandbox.MiB {
		t.Errorf("limits %v", l)
	}
	if got.GetIdleTimeout().AsDuration() != 600*time.Second ||
		got.GetHardExpiresAt().AsTime().Sub(got.GetCreatedAt().AsTime()) != 24*time.Hour {
		t.Errorf("lease %v", got)
	}
	if row, ok := h.memory.row(got.GetId()); !ok || row.SandboxID != "box-0" || row.Metadata["agent"] != "a1" {
		t.Errorf("row %+v", row)
	}
	box, err := h.Sandbox(anybody(t.Context()), got.GetId())
	if err != nil || box.ID() != "box-0" {
		t.Errorf("Sandbox: %v, %v", box, err)
	}
}

func TestCreateSessionRefuses(t *testing.T) {
	small := sandbox.Limits{MemoryBytes: 2 * sandbox.GiB, CPUMillis: 2000, MaxProcesses: 512}
	h := newHouse(t, func(o *SessionOptions) { o.Maximum = small })
	for name, test := range map[string]struct {
		req  *sandgatev1.CreateSessionRequest
		text string
	}{
		"template": {&sandgatev1.CreateSessionRequest{Template: "../etc"}, "template"},
		"too little memory": {&sandgatev1.CreateSessionRequest{
			Limits: &sandgatev1.Limits{MemoryBytes: 1},
		}, "limits.memory_bytes is 1; the least that works is 134217728"},
		"too little memory for a template": {&sandgatev1.CreateSessionRequest{
			Template: "data", Limits: &sandgatev1.Limits{MemoryBytes: 128 * sandbox.MiB},
		}, "limits.memory_bytes is 134217728; the template data needs at least 201326592"},
		"above the maximum": {&sandgatev1.CreateSessionRequest{
			Limits: &sandgatev1.Limits{CpuMillis: 4000},
		}, "limits.cpu_millis is 4000; this gateway allows at most 2000"},
		"workspace too large": {&sandgatev1.CreateSessionRequest{
			Limits: &sandgatev1.Limits{WorkspaceBytes: sandbox.GiB},
		}, "limits.workspace_bytes"},
		"reserved label":        {&sandgatev1.CreateSessionRequest{Metadata: map[string]string{"sandgate.owner": "me"}}, "reserved"},
		"reserved label, upper": {&sandgatev1.CreateSessionRequest{Metadata: map[string]string{"SandGate": "me"}}, "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.createSession(anybody(t.Context()), test.req)
			wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v does not say %q", err, test.text)
			}
		})
	}
	if len(h.engine.boxes) != 0 {
		t.Error("a refused request made a sandbox")
	}
}

func TestLittleMemoryAloneIsEnough(t *testing.T) {
	h := newHouse(t, func(o *SessionOptions) {
		o.Defaults = sandbox.Limits{WorkspaceBytes: sandbox.GiB, MemoryBytes: 4 * sandbox.GiB}
	})
	got := h.mustCreate(t, &sandgatev1.CreateSessionRequest{Limits: &sandgatev1.Limits{MemoryBytes: 256 * sandbox.MiB}})
	if got.GetLimits().GetWorkspaceBytes() != 128*sandbox.MiB {
		t.Errorf("limits %v", got.GetLimits())
	}
}

func TestMaxSessionsHoldsUnderParallelRequests(t *testing.T) {
	h := newHouse(t, func(o *SessionOptions) { o.MaxSessions = 5 })
	h.engine.gate = make(chan struct{})
	results := make(chan error, 20)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := h.createSession(anybody(t.Context()), &sandgatev1.CreateSessionRequest{})
			results <- err
		})
	}
	for range 15 {
		wantError(t, <-results, connect.CodeResourceExhausted, ReasonTooManySessions)
	}
	if got := h.Counts(); got != (SessionCounts{Creating: 5}) {
		t.Errorf("counts %+v", got)
	}
	close(h.engine.gate)
	all.Wait()
	for range 5 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := h.Counts(); got != (SessionCounts{Running: 5}) {
		t.Errorf("counts %+v", got)
	}
}

func TestCreateFails(t *testing.T) {
	t.Run("engine away", func(t *testing.T) {
		h := newHouse(t, nil)
		h.engine.fail = fmt.Errorf("%w: dial /var/run/engine.sock", sandbox.ErrUnavailable)
		_, err := h.createSession(anybody(t.Context()), &sandgatev1.CreateSessionRequest{})
		wantError(t, err, connect.CodeUnavailable, ReasonEngineUnavailable)
		if strings.Contains(err.Error(), "/var/run") {
			t.Errorf("%v names a path of the gateway", err)
		}
		if !strings.Contains(causeOf(err).Error(), "/var/run") {
			t.Error("the cause is not kept for the log")
		}
	})
	t.Run("store away", func(t *testing.T) {
		h := newHouse(t, nil)
		h.memory.fail = errBoom
		if _, err := h.createSession(anybody(t.Context()), &sandgatev1.CreateSessionRequest{}); !errors.Is(err, errBoom) {
			t.Errorf("got %v", err)
		}
		if h.engine.open() != 0 || h.Counts() != (SessionCounts{}) {
			t.Errorf("left behind: %d boxes, %+v", h.engine.open(), h.Counts())
		}
		h.memory.fail = nil
	})
	t.Run("caller left", func(t *testing.T) {
		h := newHouse(t, nil)
		h.engine.gate = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.createSession(anybody(ctx), &sandgatev1.CreateSessionRequest{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDeleteSession(t *testing.T) {
	h := newHouse(t, nil)
	id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
	var all sync.WaitGroup
	for range 8 { // at once: each sees either the end or that it has ended
		all.Go(func() {
			_, err := h.deleteSession(anybody(t.Context()), &sandgatev1.DeleteSessionRequest{SessionId: id})
			if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
				t.Error(err)
			}
			if !h.engine.last().isClosed() {
				t.Error("the sandbox is open after the call")
			}
		})
	}
	all.Wait()
	_, err := h.deleteSession(anybody(t.Context()), &sandgatev1.DeleteSessionRequest{SessionId: id})
	wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
	if len(h.memory.rows) != 0 {
		t.Errorf("rows %v", h.memory.rows)
	}
}

func TestUnknownSessionsLookAlike(t *testing.T) {
	h := newHouse(t, nil)
	_, first := h.Sandbox(anybody(t.Context()), newSessionID())
	_, second := h.Sandbox(anybody(t.Context()), "ses_x' OR 1=1")
	if first.Error() != second.Error() {
		t.Errorf("%v differs from %v", first, second)
	}
	_, err := h.Sandbox(anybody(t.Context()), "")
	wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
}

func TestListSessions(t *testing.T) {
	h := newHouse(t, nil)
	var want []string
	for i := range 5 {
		want = append(want, h.mustCreate(t, &sandgatev1.CreateSessionRequest{
			Metadata: map[string]string{"n": fmt.Sprint(i), "odd": fmt.Sprint(i % 2)},
		}).GetId())
	}
	list := func(req *sandgatev1.ListSessionsRequest) []string {
		var got []string
		for {
			res, err := h.listSessions(anybody(t.Context()), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, session := range res.GetSessions() {
				got = append(got, session.GetId())
			}
			if res.GetNextPageToken() == "" {
				return got
			}
			req.PageToken = res.GetNextPageToken()
		}
	}
	for size := range int32(7) {
		if got := list(&sandgatev1.ListSessionsRequest{PageSize: size}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("pages of %d: %v, want %v", size, got, want)
		}
	}
	if got := list(&sandgatev1.ListSessionsRequest{Metadata: map[string]string{"odd": "1"}}); fmt.Sprint(got) != fmt.Sprint([]string{want[1], want[3]}) {
		t.Errorf("odd ones: %v", got)
	}
	if res, err := h.listSessions(anybody(t.Context()), &sandgatev1.ListSessionsRequest{PageSize: 5}); err != nil || res.GetNextPageToken() != "" {
		t.Errorf("a page that holds all has a next one: %v, %v", res, err)
	}
	for _, token := range []string{"!", "bm9wZQ", strings.Repeat("A", 100)} {
		_, err := h.listSessions(anybody(t.Context()), &sandgatev1.ListSessionsRequest{PageToken: token})
		wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	h := newHouse(t, nil)
	for range 3 {
		h.mustCreate(t, &sandgatev1.CreateSessionRequest{})
	}
	h.engine.gate = make(chan struct{})
	late := make(chan error, 1)
	go func() {
		_, err := h.createSession(anybody(context.Background()), &sandgatev1.CreateSessionRequest{})
		late <- err
	}()
	for h.Counts().Creating == 0 {
		pass(time.Millisecond)
	}
	closed := make(chan error, 1)
	go func() { closed <- h.Close(context.Background()) }()
	for !func() bool { h.mu.RLock(); defer h.mu.RUnlock(); return h.closed }() {
		pass(time.Millisecond)
	}
	close(h.engine.gate)
	wantError(t, <-late, connect.CodeUnavailable, ReasonDraining)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if h.engine.open() != 0 || len(h.memory.rows) != 0 {
		t.Errorf("left behind: %d boxes, rows %v", h.engine.open(), h.memory.rows)
	}
	_, err := h.createSession(anybody(t.Context()), &sandgatev1.CreateSessionRequest{})
	wantError(t, err, connect.CodeUnavailable, ReasonDraining)
}
