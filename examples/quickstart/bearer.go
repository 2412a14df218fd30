package main

import (
	"context"

	"connectrpc.com/connect"
)

// bearer is a key that every request shows to the gateway. The empty one is none.
type bearer string

// WrapUnary adds the key to calls of one message and one reply.
func (key bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if key != "" {
			request.Header().Set("Authorization", "Bearer "+string(key))
		}
		return next(ctx, request)
	}
}

// WrapStreamingClient adds the key to calls that stream.
func (key bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		if key != "" {
			conn.RequestHeader().Set("Authorization", "Bearer "+string(key))
		}
		return conn
	}
}

// WrapStreamingHandler does nothing: there are no handlers here.
func (key bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}
