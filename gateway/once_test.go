package gateway

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// onceRig is a gateway that keeps a journal in a real store.
type onceRig struct {
	*rig

	db      *stubborn
	journal *journal.Journal
	id      string
}

// stubborn is a store whose disk can be full.
type stubborn struct {
	*store.DB

	full    atomic.Bool
	began   atomic.Int32
	ending  chan struct{} // closed when a first result is to be kept
	endOnce sync.Once
}

var errFull = errors.New("no space left on device")

func (s *stubborn) BeginCall(ctx context.Context, call store.Call) (store.Call, bool, error) {
	if s.full.Load() {
		return store.Call{}, false, errFull
	}
	s.began.Add(1)
	return s.DB.BeginCall(ctx, call)
}

func (s *stubborn) EndCall(ctx context.Context, call store.Call) error {
	s.endOnce.Do(func() { close(s.ending) })
	if s.full.Load() {
		return errFull
	}
	return s.DB.EndCall(ctx, call)
}

func newOnceRig(t *testing.T) *onceRig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "calls.db")
	return openOnceRig(t, file)
}

func openOnceRig(t *testing.T, file string, changes ...func(*Options)) *onceRig {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Source: file, Owner: "g"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	o := &onceRig{db: &stubborn{DB: db, ending: make(chan struct{})}}
	o.journal = journal.New(t.Context(), journal.Options{Store: o.db, Logger: quiet()})
	o.rig = newRig(t, func(opts *Options) {
		RegisterCalls(opts.Registry, o.journal)
		opts.Journal = o.journal
		opts.Registry.Resumable("python_run")
		for _, change := range changes {
			change(opts)
		}
	})
	if err := o.server.RecoverCalls(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.id = o.session(t)
	return o
}

// request is a call of python_run that carries an id.
func (o *onceRig) request(callID, code string) *sandgatev1.CallToolRequest {
	arguments, _ := structpb.NewStruct(map[string]any{"code": code})
	return &sandgatev1.CallToolRequest{SessionId: o.id, Name: "python_run", Arguments: arguments, CallId: callID}
}

func (o *onceRig) calls() sandgatev1connect.CallServiceClient {
	return sandgatev1connect.NewCallServiceClient(o.client, o.url)
}

func TestCallIsReplayed(t *testing.T) {
	o := newOnceRig(t)
	first, err := o.tools().CallTool(t.Context(), o.request("c1", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.tools().CallTool(t.Context(), o.request("c1", "hello"))
	if err != nil || !proto.Equal(first, again) {
		t.Errorf("%v, %v; first %v", again, err, first)
	}
	stream, err := o.tools().StreamTool(t.Context(), &sandgatev1.StreamToolRequest{Call: o.request("c1", "hello")})
	if err != nil {
		t.Fatal(err)
	}
	var result *sandgatev1.CallToolResponse
	for stream.Receive() {
		result = stream.Msg().GetResult()
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil || !proto.Equal(first, result) {
		t.Errorf("as a stream: %v, %v", result, err)
	}
	_, err = o.tools().CallTool(t.Context(), o.request("c1", "other code"))
	wantError(t, err, connect.CodeAlreadyExists, ReasonCallConflict)
	_, err = o.tools().CallTool(t.Context(), o.request("call_x", "hello"))
	wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
	got, err := o.calls().GetCall(t.Context(), &sandgatev1.GetCallRequest{Id: "c1"})
	if err != nil || !proto.Equal(got.GetResult(), first) || got.GetCall().GetState() != sandgatev1.CallState_CALL_STATE_ENDED ||
		got.GetCall().GetStatus() != sandgatev1.Status_STATUS_OK || !strings.HasPrefix(got.GetCall().GetId(), "call_") {
		t.Errorf("read back: %v, %v", got, err)
	}
}

// TestErrorIsReplayed: a call that could not be run, too, is not tried again.
func TestErrorIsReplayed(t *testing.T) {
	o := newOnceRig(t)
	for range 2 {
		_, err := o.tools().CallTool(t.Context(), o.request("c1", "panic"))
		wantError(t, err, connect.CodeInternal, ReasonInternal)
		if strings.Contains(err.Error(), "python panics") {
			t.Errorf("the error shows what only the log may: %v", err)
		}
	}
	got, err := o.calls().GetCall(t.Context(), &sandgatev1.GetCallRequest{Id: "c1"})
	if err != nil || got.GetCall().GetError().GetCode() != "internal" || got.GetResult() != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCallersJoin(t *testing.T) {
	o := newOnceRig(t)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			_, err := o.tools().CallTool(context.WithoutCancel(t.Context()), o.request("c1", "wait"))
			if connect.CodeOf(err) != connect.CodeCanceled {
				t.Errorf("%v", err)
			}
		})
	}
	<-o.runs
	wait(t, "all have joined", func() bool { return o.server.admission.calls() == 10 })
	cancelled, err := o.calls().CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: "c1"})
	if err != nil || !cancelled.GetCancelled() {
		t.Errorf("%v, %v", cancelled, err)
	}
	all.Wait()
	if began := o.db.began.Load(); began != 1 || len(o.runs) != 0 {
		t.Errorf("%d calls began, %d more ran", began, len(o.runs))
	}
}

// TestCallOutlivesItsCaller leaves a call, and finds it running and then its end.
func TestCallOutlivesItsCaller(t *testing.T) {
	o := newOnceRig(t)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := o.tools().CallTool(ctx, o.request("c1", "wait"))
		left <- err
	}()
	<-o.runs
	leave()
	if err := <-left; connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("the caller who left: %v", err)
	}
	wait(t, "the gateway has seen it leave", func() bool { return o.server.admission.calls() == 0 })
	got, err := o.calls().GetCall(t.Context(), &sandgatev1.GetCallRequest{Id: "c1"})
	if err != nil || got.GetCall().GetState() != sandgatev1.CallState_CALL_STATE_RUNNING {
		t.Fatalf("%v, %v", got, err)
	}
	list, err := o.calls().ListCalls(t.Context(), &sandgatev1.ListCallsRequest{Running: true})
	if err != nil || len(list.GetCalls()) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := o.calls().CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: got.GetCall().GetId()}); err != nil {
		t.Fatal(err)
	}
	stream, err := o.calls().AttachCall(t.Context(), &sandgatev1.AttachCallRequest{Id: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
		t.Errorf("got %v", stream.Msg())
	}
	if connect.CodeOf(stream.Err()) != connect.CodeCanceled {
		t.Errorf("it ended in %v", stream.Err())
	}
	_ = stream.Close()
}

func TestAttachBehindAnEvent(t *testing.T) {
	o := newOnceRig(t)
	stream, err := o.tools().StreamTool(t.Context(), &sandgatev1.StreamToolRequest{Call: o.request("c1", "hello")})
	if err != nil {
		t.Fatal(err)
	}
	var sequences []int64
	for stream.Receive() {
		sequences = append(sequences, stream.Msg().GetSequence())
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil || len(sequences) != 2 || sequences[0] != 1 || sequences[1] != 2 {
		t.Errorf("sequences %v, %v", sequences, err)
	}
	attached, err := o.calls().AttachCall(t.Context(), &sandgatev1.AttachCallRequest{Id: "c1", After: 1})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for attached.Receive() {
		count++
		if attached.Msg().GetResult().GetStatus() != sandgatev1.Status_STATUS_OK {
			t.Errorf("got %v", attached.Msg())
		}
	}
	if err := errors.Join(attached.Err(), attached.Close()); err != nil || count != 1 {
		t.Errorf("%d messages, %v", count, err)
	}
}

// TestNothingRunsUnwritten: where a call cannot be written down, it is not run, and its id is free.
func TestNothingRunsUnwritten(t *testing.T) {
	o := newOnceRig(t)
	o.db.full.Store(true)
	_, err := o.tools().CallTool(t.Context(), o.request("c1", "hello"))
	wantError(t, err, connect.CodeUnavailable, ReasonCallNotKept)
	if strings.Contains(err.Error(), "no space") {
		t.Errorf("the error shows what only the log may: %v", err)
	}
	o.db.full.Store(false)
	if _, err := o.tools().CallTool(t.Context(), o.request("c1", "hello")); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}

// TestResultIsToldOnlyWhenKept: who asks again gets it, and nothing is run again.
func TestResultIsToldOnlyWhenKept(t *testing.T) {
	o := newOnceRig(t)
	done := make(chan error, 1)
	go func() {
		_, err := o.tools().CallTool(context.WithoutCancel(t.Context()), o.request("c1", "wait"))
		done <- err
	}()
	<-o.runs
	o.db.full.Store(true)
	if _, err := o.calls().CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: "c1"}); err != nil {
		t.Fatal(err)
	}
	<-o.db.ending
	wantError(t, <-done, connect.CodeUnavailable, ReasonCallNotKept)
	o.db.full.Store(false)
	_, err := o.tools().CallTool(t.Context(), o.request("c1", "wait"))
	if connect.CodeOf(err) != connect.CodeCanceled || len(o.runs) != 0 {
		t.Errorf("asked again: %v, ran %d times more", err, len(o.runs))
	}
}

// TestLostCall: a gateway that died knows that a call began, and says so.
func TestLostCall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "calls.db")
	first := openOnceRig(t, file)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go func() { _, _ = first.tools().CallTool(ctx, first.request("c1", "wait")) }()
	<-first.runs
	second := openOnceRig(t, file) // as after the death of the first
	request := first.request("c1", "wait")
	_, err := second.tools().CallTool(t.Context(), request)
	wantError(t, err, connect.CodeAborted, ReasonCallLost)
	if len(second.runs) != 0 {
		t.Error("it was run again")
	}
	got, err := second.calls().GetCall(t.Context(), &sandgatev1.GetCallRequest{Id: "c1"})
	if err != nil || got.GetCall().GetState() != sandgatev1.CallState_CALL_STATE_LOST {
		t.Errorf("%v, %v", got, err)
	}
	_, _ = first.calls().CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: "c1"})
}

// TestDrainWaitsForCallsWhoseCallersLeft ends a gateway under a call that nobody follows.
func TestDrainWaitsForCallsWhoseCallersLeft(t *testing.T) {
	o := newOnceRig(t)
	ctx, leave := context.WithCancel(t.Context())
	go func() { _, _ = o.tools().CallTool(ctx, o.request("c1", "wait")) }()
	<-o.runs
	leave()
	wait(t, "the gateway has seen it leave", func() bool { return o.server.admission.calls() == 0 })
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := o.server.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	row, err := o.db.Call(t.Context(), "default", "c1")
	if err != nil || row.State != store.CallLost {
		t.Errorf("%+v, %v", row, err)
	}
}

// TestCallsWithoutAnIDAreNoted: they can be read back, without their results.
func TestCallsWithoutAnIDAreNoted(t *testing.T) {
	o := newOnceRig(t)
	if _, err := o.tools().CallTool(t.Context(), o.request("", "fails")); err != nil {
		t.Fatal(err)
	}
	_, _ = sandgatev1connect.NewFileServiceClient(o.client, o.url).Read(t.Context(), &sandgatev1.ReadRequest{SessionId: o.id, Path: "boom"})
	var list *sandgatev1.ListCallsResponse
	wait(t, "both are noted", func() bool {
		var err error
		list, err = o.calls().ListCalls(t.Context(), &sandgatev1.ListCallsRequest{SessionId: o.id})
		return err == nil && len(list.GetCalls()) == 2
	})
	read, run := list.GetCalls()[0], list.GetCalls()[1]
	if run.GetTool() != "python_run" || run.GetStatus() != sandgatev1.Status_STATUS_ERROR || run.GetCallId() != "" || run.GetError() != nil {
		t.Errorf("the run: %v", run)
	}
	if read.GetTool() != "file_read" || read.GetError().GetCode() != "internal" || strings.Contains(read.String(), "secret") {
		t.Errorf("the read: %v", read)
	}
	stream, err := o.calls().AttachCall(t.Context(), &sandgatev1.AttachCallRequest{Id: run.GetId()})
	if err == nil {
		stream.Receive()
		err = stream.Err()
		_ = stream.Close()
	}
	wantError(t, err, connect.CodeNotFound, ReasonCallNotFound)
}

// wait waits for what comes without anybody saying so.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}
