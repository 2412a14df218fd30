package guestrpc

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// tracerName names the maker of the spans of calls to guests.
const tracerName = "github.com/sandgate/sandgate/sandbox/guestrpc"

// spans makes a span of each call to a guest that is made on behalf of a call with a span. The guest
// is told nothing of it: it would be believed nothing that it said of its own time, and every message
// to it would be longer. So a span is what the host saw: from the first byte sent to the last one read.
type spans struct{}

// WrapUnary makes the spans of calls without streams.
func (spans) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if !trace.SpanFromContext(ctx).IsRecording() {
			return next(ctx, req)
		}
		spanCtx, span := startSpan(ctx, req.Spec().Procedure)
		res, err := next(spanCtx, req)
		endSpan(spanCtx, span, err)
		return res, err
	}
}

// WrapStreamingClient makes the spans of calls with streams.
func (spans) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		if !trace.SpanFromContext(ctx).IsRecording() {
			return next(ctx, spec)
		}
		spanCtx, span := startSpan(ctx, spec.Procedure)
		return &spanConn{
			StreamingClientConn: next(spanCtx, spec),
			end:                 func(err error) { endSpan(spanCtx, span, err) },
		}
	}
}

// WrapStreamingHandler changes nothing: guests are called, and call nobody.
func (spans) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// spanConn is a stream that ends its span when it ends: with the last message, or when its holder
// has had enough.
type spanConn struct {
	connect.StreamingClientConn

	once sync.Once
	end  func(err error)
}

// Receive receives the next message.
func (c *spanConn) Receive(message any) error {
	err := c.StreamingClientConn.Receive(message)
	switch {
	case errors.Is(err, io.EOF):
		c.once.Do(func() { c.end(nil) })
	case err != nil:
		c.once.Do(func() { c.end(err) })
	}
	return err
}

// CloseResponse ends the stream. What is wrong with it then matters to nobody any more.
func (c *spanConn) CloseResponse() error {
	err := c.StreamingClientConn.CloseResponse()
	c.once.Do(func() { c.end(nil) })
	return err
}

func startSpan(ctx context.Context, procedure string) (context.Context, trace.Span) {
	method := strings.TrimPrefix(procedure, "/")
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer(tracerName)
	return tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.RPCSystemNameConnectrpc, semconv.RPCMethod(method)))
}

// endSpan says how a call ended: by its code, or by what ended the sandbox or the host's patience.
// The error's text stays out, as a guest may have put anything there.
func endSpan(ctx context.Context, span trace.Span, err error) {
	defer span.End()
	var kind string
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrSessionLost):
		kind = "session_lost"
	case errors.Is(cause, ErrOverdue):
		kind = "sandbox_silent"
	case err != nil:
		kind = connect.CodeOf(err).String()
	default:
		span.SetAttributes(semconv.RPCResponseStatusCode("ok"))
		return
	}
	span.SetStatus(codes.Error, "")
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	if err != nil {
		span.SetAttributes(semconv.RPCResponseStatusCode(connect.CodeOf(err).String()))
	}
}
