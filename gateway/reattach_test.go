package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// left writes a call down as a gateway that died has left it.
func (o *onceRig) left(t *testing.T, id, session, code string, change func(*store.Call)) {
	t.Helper()
	request := o.request(id, code)
	request.SessionId = session
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	row := store.Call{
		Tenant: "default", ID: "call_" + id, CallID: id, SessionID: session, Tool: "python_run", Hash: hashOf(request),
		Request: body, CreatedAt: time.Now().Add(-time.Hour),
	}
	if change != nil {
		change(&row)
	}
	if _, began, err := o.db.DB.BeginCall(t.Context(), row); err != nil || !began {
		t.Fatal(began, err)
	}
}

// TestCallsAreTakenUp finds calls of a gateway that died: one goes on, with the numbers that its events
// had, and can be cancelled; what nobody knows of is lost, and nothing is run.
func TestCallsAreTakenUp(t *testing.T) {
	o := newOnceRig(t)
	o.left(t, "goes", o.id, "hello", nil)
	o.left(t, "stays", o.id, "wait", nil)
	o.left(t, "unknown", o.id, "unknown", nil)
	o.left(t, "without", "ses_none", "hello", nil)
	o.left(t, "plain", o.id, "hello", func(row *store.Call) { row.Request = nil })
	o.left(t, "torn", o.id, "hello", func(row *store.Call) { row.Request = row.Request[1:] })
	o.left(t, "misfit", o.id, "hello", func(row *store.Call) {
		row.Request, _ = proto.Marshal(&sandgatev1.CallToolRequest{SessionId: o.id, Name: "file_read", CallId: "misfit"})
	})
	if err := o.server.RecoverCalls(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-o.runs
	first, err := o.tools().CallTool(t.Context(), o.request("goes", "hello"))
	if err != nil || first.GetStatus() != sandgatev1.Status_STATUS_OK {
		t.Errorf("%v, %v", first, err)
	}
	_, err = o.tools().CallTool(t.Context(), o.request("goes", "something else"))
	wantError(t, err, connect.CodeAlreadyExists, ReasonCallConflict)
	for _, id := range []string{"unknown", "without", "plain", "torn", "misfit"} {
		stream, err := o.calls().AttachCall(t.Context(), &sandgatev1.AttachCallRequest{Id: id})
		if err != nil {
			t.Fatal(err)
		}
		if stream.Receive() {
			t.Errorf("%s goes on: %v", id, stream.Msg())
		}
		wantError(t, stream.Err(), connect.CodeAborted, ReasonCallLost)
		_ = stream.Close()
		row, err := o.db.Call(t.Context(), "default", id)
		if err != nil || row.State != store.CallLost {
			t.Errorf("%s: %+v, %v", id, row, err)
		}
	}
	if res, err := o.calls().CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: "call_stays"}); err != nil || !res.GetCancelled() {
		t.Errorf("%v, %v", res, err)
	}
	_, err = o.tools().CallTool(t.Context(), o.request("stays", "wait"))
	if connect.CodeOf(err) != connect.CodeCanceled || len(o.runs) != 0 {
		t.Errorf("%v, %d run", err, len(o.runs))
	}
	if rows, err := o.db.RunningCalls(t.Context()); err != nil || len(rows) != 0 {
		t.Errorf("%v, %v", rows, err)
	}
}

// TestEventsKeepTheirNumbers follows a call that was taken up, of which two events were not kept.
func TestEventsKeepTheirNumbers(t *testing.T) {
	o := newOnceRig(t)
	o.left(t, "goes", o.id, "hello, then wait", nil)
	if err := o.server.RecoverCalls(t.Context()); err != nil {
		t.Fatal(err)
	}
	stream, err := o.calls().AttachCall(t.Context(), &sandgatev1.AttachCallRequest{Id: "goes", After: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !stream.Receive() || stream.Msg().GetSequence() != 3 || stream.Msg().GetProgress() == nil {
		t.Errorf("%v, %v", stream.Msg(), stream.Err())
	}
	if _, err := o.calls().CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: "goes"}); err != nil {
		t.Error(err)
	}
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeCanceled {
		t.Errorf("%v, %v", stream.Msg(), stream.Err())
	}
	_ = stream.Close()
}

// TestRequestsAreWrittenDown: those that can be taken up, and that are not too long, until they end.
func TestRequestsAreWrittenDown(t *testing.T) {
	for _, test := range []struct {
		name, code string
		kept       bool
	}{{"short", "wait", true}, {"long", "wait" + strings.Repeat(" ", maxRequest), false}} {
		t.Run(test.name, func(t *testing.T) {
			o := newOnceRig(t)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			go func() { _, _ = o.tools().CallTool(ctx, o.request("c1", test.code)) }()
			<-o.runs
			rows, err := o.db.RunningCalls(t.Context())
			if err != nil || len(rows) != 1 || (len(rows[0].Request) > 0) != test.kept {
				t.Errorf("%d rows, %v", len(rows), err)
			}
			_, err = o.calls().CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: "c1"})
			_, again := o.tools().CallTool(t.Context(), o.request("c1", test.code))
			if errors.Join(err, again) == nil {
				t.Error("it was not cancelled")
			}
		})
	}
}
