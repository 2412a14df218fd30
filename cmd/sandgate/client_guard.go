package main

import (
	"context"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
)

// messageGuard refuses a message that cannot be written for the wire before its request is opened.
// Without it Connect opens the request, finds out, and ends it empty: the gateway would then do what
// an empty message asks for, such as make a session that nobody knows.
type messageGuard struct{}

func (messageGuard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if err := sendable(request.Any()); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

func (messageGuard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		return &guardedConn{StreamingClientConn: next(ctx, spec)}
	}
}

func (messageGuard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next // there are no handlers here
}

// guardedConn is a stream whose request is not opened by a message that cannot be sent.
type guardedConn struct {
	connect.StreamingClientConn
	opened  bool
	refused error // why nothing was sent
}

func (c *guardedConn) Send(message any) error {
	if err := sendable(message); err != nil {
		c.refused = err
		return err
	}
	c.opened = true
	return c.StreamingClientConn.Send(message)
}

// CloseRequest would open the request to end it.
func (c *guardedConn) CloseRequest() error {
	if c.refused != nil && !c.opened {
		return nil
	}
	return c.StreamingClientConn.CloseRequest()
}

// CloseResponse would wait for the answer to a request that was never made.
func (c *guardedConn) CloseResponse() error {
	if c.refused != nil && !c.opened {
		return nil
	}
	return c.StreamingClientConn.CloseResponse()
}

// sendable reports why a message cannot be sent. The one reason there is: text is not UTF-8.
func sendable(message any) error {
	m, ok := message.(proto.Message)
	if !ok { // no message at all, which opens a stream
		return nil
	}
	_, err := proto.Marshal(m)
	if err == nil {
		return nil
	}
	field := ""
	_ = protorange.Range(m.ProtoReflect(), func(at protopath.Values) error {
		if text, ok := at.Index(-1).Value.Interface().(string); ok && !utf8.ValidString(text) {
			field = at.Path[1:].String()
			return protorange.Terminate
		}
		return nil
	}) // it fails with what we return alone
	return usagef("nothing was sent: %s is not UTF-8", strings.TrimPrefix(field, "."))
}
