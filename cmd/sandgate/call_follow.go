package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	// attachTries bounds how often a call is followed anew in a row without anything coming of it. With
	// the pauses between them a gateway has half a minute to come back.
	attachTries = 8
	// longestPause is the longest between two tries.
	longestPause = 5 * time.Second
)

// callFollower follows one call to its end.
type callFollower struct {
	app    *app
	client *client
	callID string // empty: the call ends with its connection
	events bool   // every step is printed, as a line of JSON
	last   int64  // the sequence of the last event that came
}

// callStep is what the messages of StreamTool and AttachCall have in common.
type callStep interface {
	proto.Message
	GetProgress() *structpb.Struct
	GetResult() *sandgatev1.CallToolResponse
	GetSequence() int64
}

// run makes a call and follows it. Once it was sent it is never sent again: where the connection breaks,
// a call with an id is attached to.
func (f *callFollower) run(ctx context.Context, request *sandgatev1.CallToolRequest) (*sandgatev1.CallToolResponse, error) {
	var reply *sandgatev1.CallToolResponse
	stream, err := f.client.tools.StreamTool(ctx, &sandgatev1.StreamToolRequest{Call: request})
	if err == nil {
		reply, err = receiveCall(f, stream)
	}
	unsent, dialled := errors.AsType[*net.OpError](err)
	switch {
	case err == nil, f.callID == "":
		return reply, err
	case dialled && unsent.Op == "dial", connect.IsWireError(err), !broke(ctx, err):
		return nil, f.ended(ctx, err)
	}
	reply, err = f.attach(ctx, err)
	if connect.CodeOf(err) == connect.CodeNotFound {
		message, _ := explain(err)
		return nil, hintError{err: errors.New(message), hint: "it had not begun when the connection broke; make it again with the same --call-id, which runs it once at most"}
	}
	return reply, err
}

// attach follows a call that was made before, behind the last event that came. broken is why it was left,
// nil where it was not.
func (f *callFollower) attach(ctx context.Context, broken error) (*sandgatev1.CallToolResponse, error) {
	for try := 0; ; try++ {
		if broken != nil {
			if err := f.pause(ctx, try, broken); err != nil {
				return nil, f.ended(ctx, err)
			}
		}
		before := f.last
		var reply *sandgatev1.CallToolResponse
		stream, err := f.client.calls.AttachCall(ctx, &sandgatev1.AttachCallRequest{Id: f.callID, After: f.last})
		if err == nil {
			reply, err = receiveCall(f, stream)
		}
		if err == nil || !broke(ctx, err) {
			return reply, f.ended(ctx, err)
		}
		if broken = err; f.last > before {
			try = 0
		}
	}
}

// pause says that the connection broke and waits a little, longer each time, until that makes no sense.
func (f *callFollower) pause(ctx context.Context, try int, broken error) error {
	message, _ := explain(broken)
	if try >= attachTries {
		return hintError{
			err:  fmt.Errorf("call %s was lost sight of: %s", f.callID, message),
			hint: fmt.Sprintf("it may go on: `sandgate calls attach %s --after %d` follows it", f.callID, f.last),
		}
	}
	f.app.notef("%s; following call %s again, try %d of %d", message, f.callID, try+1, attachTries)
	select {
	case <-time.After(min(250*time.Millisecond<<try, longestPause)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// broke reports whether an error is one of the connection, or of a gateway that is not there right now,
// and not of the call.
func broke(ctx context.Context, err error) bool {
	if _, ours := errors.AsType[usageError](err); ours || ctx.Err() != nil {
		return false
	}
	if _, rpc := errors.AsType[*connect.Error](err); !rpc {
		return errors.Is(err, errNoResult)
	}
	return !connect.IsWireError(err) || connect.CodeOf(err) == connect.CodeUnavailable
}

// ended says what an error means to who followed a call that goes on without them.
func (f *callFollower) ended(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		f.app.notef("call %s may go on: `sandgate calls attach %s --after %d` follows it, `sandgate calls cancel %s` ends it",
			f.callID, f.callID, f.last, f.callID)
		return err
	case connect.CodeOf(err) != connect.CodeCanceled:
		return err
	}
	// A call that was cancelled and one that died with its gateway end in the same code.
	asking, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	reply, asked := f.client.calls.GetCall(asking, &sandgatev1.GetCallRequest{Id: f.callID})
	if asked == nil && reply.GetCall().GetState() == sandgatev1.CallState_CALL_STATE_ENDED {
		return exitError{code: exitInterrupted, err: errors.New("the call was cancelled; what it did stays done")}
	}
	return err
}

// receiveCall takes the steps of a call until its end.
func receiveCall[M any](f *callFollower, stream *connect.ServerStreamForClient[M]) (*sandgatev1.CallToolResponse, error) {
	defer func() { _ = stream.Close() }() // everything that matters was received
	for stream.Receive() {
		step, ok := any(stream.Msg()).(callStep)
		if !ok {
			return nil, fmt.Errorf("%T is no step of a call", stream.Msg())
		}
		if err := f.take(step); err != nil {
			return nil, err
		}
		if reply := step.GetResult(); reply != nil {
			return reply, nil
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return nil, errNoResult
}

// take prints a step where that is wanted, and notes how far we are.
func (f *callFollower) take(step callStep) error {
	if next := step.GetSequence(); next > 0 {
		if missing := next - f.last - 1; missing > 0 && f.events {
			f.app.notef("%d events after number %d were too many to be kept", missing, f.last)
		}
		f.last = max(f.last, next)
	}
	if !f.events {
		return nil
	}
	return f.app.printJSONLine(step)
}
