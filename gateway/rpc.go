package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rpc is one RPC with what is needed to serve it and to call it as a tool.
type rpc struct {
	procedure string
	method    protoreflect.MethodDescriptor
	// handler makes the Connect handler.
	handler func(options ...connect.HandlerOption) *connect.Handler
	// tool is its name among the tools, empty for none. works tells that its calls work in sessions:
	// it is a tool, or of a service of tools. running counts them.
	tool    string
	works   bool
	running atomic.Int32
	// own tells that it is an operator's tool, which has no descriptor.
	own bool
	// last is the field that is set in the last message of its stream, nil where there is none.
	last protoreflect.FieldDescriptor
	// newRequest makes an empty request.
	newRequest func() proto.Message
	// invoke validates req and runs the RPC, giving emit every message that it produces. It is nil
	// for an RPC with a stream of requests.
	invoke func(ctx context.Context, req proto.Message, emit func(proto.Message) error) error
}

// Unary adds an RPC with one request and one reply. Req and Res are generated message types, fn is
// called by any number of goroutines. Its request has passed the rules of its descriptor; its error
// should be a *connect.Error, the text of any other is hidden from the caller.
func Unary[Req, Res any](r *Registry, procedure string, fn func(context.Context, *Req) (*Res, error)) {
	e, ok := newRPC[Req, Res](r, procedure, false, false)
	if !ok {
		return
	}
	run := func(ctx context.Context, req *Req) (res *Res, err error) {
		defer r.traffic.begin(ctx, e)(&err)
		defer recoverTo(&err)
		if err := r.admit(ctx, req); err != nil {
			return nil, err
		}
		res, err = fn(ctx, req)
		if err == nil && res == nil {
			err = errors.New("the handler returned neither a reply nor an error")
		}
		return res, err
	}
	e.handler = func(options ...connect.HandlerOption) *connect.Handler {
		return connect.NewUnaryHandlerSimple(procedure, func(ctx context.Context, req *Req) (*Res, error) {
			res, err := run(ctx, req)
			if err != nil {
				return nil, finish(ctx, err)
			}
			return res, nil
		}, options...)
	}
	e.invoke = func(ctx context.Context, message proto.Message, emit func(proto.Message) error) error {
		req, ok := any(message).(*Req)
		if !ok {
			return fmt.Errorf("%s was given a %T", procedure, message)
		}
		res, err := run(ctx, req)
		if err != nil {
			return err
		}
		return emit(asMessage(res))
	}
}

// Stream adds an RPC with one request and a stream of replies. fn is called by any number of
// goroutines; it calls send from one goroutine at a time, does not touch a message that it has
// sent, but for the memory of a piece of a file, which is good during send only, and returns when send fails. The stream of a tool ends in a message with its field `result`
// set, and fn returns right after it: that message leaves together with the end of the stream.
func Stream[Req, Res any](r *Registry, procedure string, fn func(ctx context.Context, req *Req, send func(*Res) error) error) {
	e, ok := newRPC[Req, Res](r, procedure, false, true)
	if !ok {
		return
	}
	run := func(ctx context.Context, req *Req, send func(*Res) error) (err error) {
		defer r.traffic.begin(ctx, e)(&err)
		defer recoverTo(&err)
		if err := r.admit(ctx, req); err != nil {
			return err
		}
		began, told := time.Now(), false
		defer func() {
			if !told {
				callFrom(ctx).chargeWork(e, nil, time.Since(began))
			}
		}()
		return fn(ctx, req, func(res *Res) error {
			// What has no end, such as a flood, is ended here once there is nothing left for it.
			if isLast(e, asMessage(res)) {
				told = true
				callFrom(ctx).chargeWork(e, asMessage(res), 0)
			} else if e.tool != "" {
				if err := callFrom(ctx).spent(); err != nil {
					return err
				}
			}
			return send(res)
		})
	}
	e.handler = func(options ...connect.HandlerOption) *connect.Handler {
		return connect.NewServerStreamHandlerSimple(procedure, func(ctx context.Context, req *Req, stream *connect.ServerStream[Res]) error {
			return finish(ctx, run(ctx, req, func(res *Res) error {
				if message := asMessage(res); isLast(e, message) {
					callFrom(ctx).noteLast()
					callFrom(ctx).noteStatus(statusOf(message.ProtoReflect().Get(e.last).Message()))
				}
				return stream.Send(res)
			}))
		}, options...)
	}
	e.invoke = func(ctx context.Context, message proto.Message, emit func(proto.Message) error) error {
		req, ok := any(message).(*Req)
		if !ok {
			return fmt.Errorf("%s was given a %T", procedure, message)
		}
		return run(ctx, req, func(res *Res) error { return emit(asMessage(res)) })
	}
}

// ClientStream adds an RPC with a stream of requests and one reply. fn is called by any number of
// goroutines; it calls recv from one goroutine at a time. recv returns the next request, which has
// passed the rules of its descriptor, or an error that wraps io.EOF after the last one. A piece of a file in
// it is good until the next.
func ClientStream[Req, Res any](r *Registry, procedure string, fn func(ctx context.Context, recv func() (*Req, error)) (*Res, error)) {
	e, ok := newRPC[Req, Res](r, procedure, true, false)
	if !ok {
		return
	}
	run := func(ctx context.Context, recv func() (*Req, error)) (res *Res, err error) {
		defer r.traffic.begin(ctx, e)(&err)
		defer recoverTo(&err)
		res, err = fn(ctx, recv)
		if err == nil && res == nil {
			err = errors.New("the handler returned neither a reply nor an error")
		}
		return res, err
	}
	e.handler = func(options ...connect.HandlerOption) *connect.Handler {
		return connect.NewClientStreamHandlerSimple(procedure, func(ctx context.Context, stream *connect.ClientStream[Req]) (*Res, error) {
			res, err := run(ctx, requests(ctx, r, stream))
			if err != nil {
				return nil, finish(ctx, err)
			}
			return res, nil
		}, options...)
	}
}

// isLast tells whether a message is the last one of its RPC's stream.
func isLast(e *rpc, message proto.Message) bool {
	return e.last != nil && message.ProtoReflect().Has(e.last)
}

// asMessage returns a pointer to a generated message as what it is, nil if it is none.
func asMessage[T any](pointer *T) proto.Message {
	message, _ := any(pointer).(proto.Message)
	return message
}
