package gateway

import (
	"context"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The attributes of a call's span that no convention names. Like the log, a span holds nothing that
// a caller wrote: no code, no path, no header, no error text, and no whole session id.
const (
	attrSession  = attribute.Key("sandgate.session") // shortened as in the log
	attrTool     = attribute.Key("sandgate.tool")
	attrStatus   = attribute.Key("sandgate.status") // of the tool's work
	attrBytesIn  = attribute.Key("sandgate.bytes_in")
	attrBytesOut = attribute.Key("sandgate.bytes_out")
)

// startSpan begins the span of a call that was let in, and returns the context that holds it. Without
// a tracer it costs nothing.
//
// The caller's own span is linked, not made the parent: callers are not trusted, and one that could
// choose the trace could put spans into somebody else's, and choose which calls are sampled.
func (s *Server) startSpan(r *http.Request, procedure string) context.Context {
	if s.opts.Tracer == nil {
		return r.Context()
	}
	method := strings.TrimPrefix(procedure, "/")
	options := append(make([]trace.SpanStartOption, 0, 4),
		trace.WithNewRoot(),
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(systemOf(r.Header), semconv.RPCMethod(method)))
	if caller := callersSpan(r.Header); caller.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: caller}))
	}
	ctx, _ := s.opts.Tracer.Start(r.Context(), method, options...)
	return ctx
}

// endSpan says on a call's span how it ended, and ends it. It returns the trace's id for the log,
// empty where nobody keeps the trace.
func endSpan(ctx context.Context, sum summary, session, tool string, status sandgatev1.Status) string {
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if !span.IsRecording() {
		return ""
	}
	attrs := append(make([]attribute.KeyValue, 0, 8),
		semconv.RPCResponseStatusCode(sum.code), attrBytesIn.Int64(sum.in), attrBytesOut.Int64(sum.out))
	if strings.HasPrefix(session, sessionPrefix) { // else it is whatever the caller put in its place
		attrs = append(attrs, attrSession.String(shown(session)))
	}
	if tool != "" {
		attrs = append(attrs, attrTool.String(tool), attrStatus.String(status.String()))
	}
	if isFault(sum.code) {
		span.SetStatus(codes.Error, "")
		attrs = append(attrs, semconv.ErrorTypeKey.String(sum.code))
	}
	span.SetAttributes(attrs...)
	if !span.SpanContext().IsSampled() {
		return ""
	}
	return span.SpanContext().TraceID().String()
}

// isFault tells whether a call that ended so is the gateway's failure rather than its caller's, as
// the conventions for RPC servers divide them.
func isFault(code string) bool {
	switch code {
	case connect.CodeUnknown.String(), connect.CodeDeadlineExceeded.String(), connect.CodeUnimplemented.String(),
		connect.CodeInternal.String(), connect.CodeUnavailable.String(), connect.CodeDataLoss.String():
		return true
	default:
		return false
	}
}

// systemOf names the protocol of a request.
func systemOf(header http.Header) attribute.KeyValue {
	if strings.HasPrefix(header.Get("Content-Type"), "application/grpc") {
		return semconv.RPCSystemNameGRPC
	}
	return semconv.RPCSystemNameConnectrpc
}

// callersSpan returns the span that a request says it belongs to, an invalid one for none. What else
// the caller's tracing sends (tracestate, baggage) is free text and is not read.
func callersSpan(header http.Header) trace.SpanContext {
	const name = "Traceparent"
	parent := header.Get(name)
	if parent == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	return trace.SpanContextFromContext(ctx)
}
