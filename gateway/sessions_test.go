package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway/identity"
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

func TestLeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{IdleTimeout: durationpb.New(10 * time.Second)}).GetId()
		for range 5 { // each call begins the lease anew
			pass(8 * time.Second)
			if _, err := h.Sandbox(anybody(t.Context()), id); err != nil {
				t.Fatal(err)
			}
		}
		pass(8 * time.Second)
		synctest.Wait()
		// Asking for it does not renew it.
		if _, err := h.getSession(anybody(t.Context()), &sandgatev1.GetSessionRequest{SessionId: id}); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		synctest.Wait()
		_, err := h.Sandbox(anybody(t.Context()), id)
		wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
		if h.engine.open() != 0 || len(h.memory.rows) != 0 {
			t.Errorf("left behind: %d boxes, rows %v", h.engine.open(), h.memory.rows)
		}
	})
}

func TestLeaseDoesNotRunOutUnderACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{IdleTimeout: durationpb.New(time.Second)}).GetId()
		c := &call{principal: identity.Anyone()}
		ctx := withCall(t.Context(), c)
		for range 2 { // asking twice holds once
			if _, err := h.Sandbox(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Hour)
		synctest.Wait()
		if h.Counts().Running != 1 {
			t.Fatal("the session ended under a running call")
		}
		if row, _ := h.memory.row(id); time.Until(row.IdleExpiresAt) < -keepEvery {
			t.Errorf("the store has an old lease: %v", row.IdleExpiresAt)
		}
		c.end()
		pass(2 * time.Second)
		synctest.Wait()
		if h.Counts() != (SessionCounts{}) {
			t.Errorf("counts %+v", h.Counts())
		}
	})
}

func TestHardExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{MaxLifetime: durationpb.New(time.Minute)}).GetId()
		for range 7 {
			pass(8 * time.Second)
			if _, err := h.Sandbox(anybody(t.Context()), id); err != nil {
				t.Fatal(err)
			}
		}
		pass(8 * time.Second)
		synctest.Wait()
		_, err := h.Sandbox(anybody(t.Context()), id)
		wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
	})
}

func TestExtendSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
		synctest.Wait() // the keeper has gone to sleep for longer than the new lease
		res, err := h.extendSession(anybody(t.Context()), &sandgatev1.ExtendSessionRequest{SessionId: id, IdleTimeout: durationpb.New(time.Second)})
		if err != nil || res.GetSession().GetIdleTimeout().AsDuration() != time.Second {
			t.Fatal(res, err)
		}
		if row, _ := h.memory.row(id); row.IdleTimeout != time.Second {
			t.Errorf("row %+v", row)
		}
		pass(1100 * time.Millisecond)
		synctest.Wait()
		_, err = h.extendSession(anybody(t.Context()), &sandgatev1.ExtendSessionRequest{SessionId: id})
		wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
	})
}

func TestShortLeaseOfANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		synctest.Wait()
		h.mustCreate(t, &sandgatev1.CreateSessionRequest{IdleTimeout: durationpb.New(time.Second)})
		pass(1100 * time.Millisecond)
		synctest.Wait()
		if h.Counts() != (SessionCounts{}) {
			t.Errorf("counts %+v", h.Counts())
		}
	})
}

func TestRenewedLeasesAreWrittenNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
		before, _ := h.memory.row(id)
		pass(3 * time.Second)
		if _, err := h.Sandbox(anybody(t.Context()), id); err != nil {
			t.Fatal(err)
		}
		if row, _ := h.memory.row(id); row.IdleExpiresAt != before.IdleExpiresAt {
			t.Error("a call wrote to the store")
		}
		pass(3 * keepEvery)
		synctest.Wait()
		if row, _ := h.memory.row(id); !row.IdleExpiresAt.Equal(before.IdleExpiresAt.Add(3 * time.Second)) {
			t.Errorf("the lease in the store is %v after %v", row.IdleExpiresAt, before.IdleExpiresAt)
		}
	})
}

func TestLostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
		h.engine.last().die(fmt.Errorf("%w: out of memory\xff", sandbox.ErrLost))
		synctest.Wait()
		_, err := h.Sandbox(anybody(t.Context()), id)
		wantError(t, err, connect.CodeFailedPrecondition, ReasonSessionLost)
		if !strings.Contains(err.Error(), "out of memory") {
			t.Errorf("%v does not say why", err)
		}
		res, err := h.getSession(anybody(t.Context()), &sandgatev1.GetSessionRequest{SessionId: id})
		if err != nil || res.GetSession().GetState() != sandgatev1.SessionState_SESSION_STATE_LOST || res.GetSession().GetLostReason() == "" {
			t.Errorf("%v, %v", res, err)
		}
		if !h.engine.last().isClosed() {
			t.Error("what is left of the sandbox was not closed")
		}
		if row, _ := h.memory.row(id); row.LostReason == "" {
			t.Error("the store does not know")
		}
		if h.Counts() != (SessionCounts{Lost: 1}) {
			t.Errorf("counts %+v", h.Counts())
		}
		if _, err := h.deleteSession(anybody(t.Context()), &sandgatev1.DeleteSessionRequest{SessionId: id}); err != nil {
			t.Error(err)
		}
	})
}

func TestLostSessionsAreForgottenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		h.mustCreate(t, &sandgatev1.CreateSessionRequest{})
		h.engine.last().die(sandbox.ErrLost)
		pass(DefaultIdleTimeout + keepEvery)
		synctest.Wait()
		if len(h.memory.rows) != 0 {
			t.Errorf("rows %v", h.memory.rows)
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

func TestRecover(t *testing.T) {
	// A first gateway makes three sessions and is killed: its store stays as it is.
	first := newHouse(t, nil)
	var ids []string
	for i := range 3 {
		ids = append(ids, first.mustCreate(t, &sandgatev1.CreateSessionRequest{
			Template: "data", Metadata: map[string]string{"n": fmt.Sprint(i)},
		}).GetId())
	}
	rows := maps.Clone(first.memory.rows)
	old := rows[ids[2]]
	old.HardExpiresAt = time.Now().Add(-time.Second)
	rows[ids[2]] = old
	due := rows[ids[0]] // its lease ran out while the gateway was down
	due.IdleExpiresAt = time.Now().Add(-time.Hour)
	rows[ids[0]] = due
	spec := first.engine.boxes[0].spec

	second := newHouse(t, func(o *SessionOptions) { o.Store = &memory{rows: rows} })
	adopted, stray := newBox("box-0", spec), newBox("stray", spec)
	err := second.Recover(t.Context(), func(keep func(string) bool) ([]sandbox.Sandbox, error) {
		for id, want := range map[string]bool{"box-0": true, "box-1": true, "box-2": false, "other": false} {
			if keep(id) != want {
				t.Errorf("keep(%s) is %v", id, !want)
			}
		}
		return []sandbox.Sandbox{adopted, stray}, nil // box-1 died on the way
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := second.getSession(anybody(t.Context()), &sandgatev1.GetSessionRequest{SessionId: ids[0]})
	if err != nil || res.GetSession().GetTemplate() != "data" || res.GetSession().GetMetadata()["n"] != "0" ||
		time.Until(res.GetSession().GetIdleExpiresAt().AsTime()) < DefaultIdleTimeout-time.Minute {
		t.Errorf("adopted session: %v, %v", res, err)
	}
	box, err := second.Sandbox(anybody(t.Context()), ids[0])
	if err != nil || box != sandbox.Sandbox(adopted) {
		t.Errorf("adopted session: %v, %v", box, err)
	}
	_, err = second.Sandbox(anybody(t.Context()), ids[1])
	wantError(t, err, connect.CodeFailedPrecondition, ReasonSessionLost)
	if !strings.Contains(err.Error(), goneReason) {
		t.Errorf("%v does not say why", err)
	}
	if !stray.isClosed() || adopted.isClosed() {
		t.Errorf("stray closed: %v, adopted closed: %v", stray.isClosed(), adopted.isClosed())
	}
	adopted.die(sandbox.ErrLost) // it is watched like any other
	<-adopted.closed
}

func TestRecoverFails(t *testing.T) {
	h := newHouse(t, nil)
	half := newBox("half", sandbox.Spec{})
	down := errors.Join(sandbox.ErrUnavailable, errBoom)
	err := h.Recover(t.Context(), func(func(string) bool) ([]sandbox.Sandbox, error) { return []sandbox.Sandbox{half}, down })
	if !errors.Is(err, errBoom) || !half.isClosed() {
		t.Errorf("%v, closed %v", err, half.isClosed())
	}
	// One sandbox that cannot be removed is no reason not to serve.
	if err := h.Recover(t.Context(), func(func(string) bool) ([]sandbox.Sandbox, error) { return nil, errBoom }); err != nil {
		t.Errorf("a stray: %v", err)
	}
}
