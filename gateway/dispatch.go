package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/sandbox/piece"
)

// panicError is what a panic in a handler becomes.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// recoverTo is deferred around every handler: a panic ends the call with an error and nothing else.
func recoverTo(err *error) {
	if value := recover(); value != nil {
		*err = &panicError{value: value, stack: debug.Stack()}
	}
}

// admit notes the session that a request names and holds it against the rules of its descriptor.
// Every request passes here exactly once, whichever way it came.
func (r *Registry) admit(ctx context.Context, req any) error {
	if named, ok := req.(interface{ GetSessionId() string }); ok {
		callFrom(ctx).noteSession(named.GetSessionId())
	}
	message, ok := req.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", req)
	}
	callFrom(ctx).noteRequest(message)
	return validationError(r.validator.Validate(message))
}

// requests returns what gives out the valid messages of a client's stream, one after another. The piece of a file in
// one is taken back when the next is asked for: once, and only from a message that was given out.
func requests[Req any](ctx context.Context, r *Registry, stream *connect.ClientStream[Req]) func() (*Req, error) {
	var given []byte
	return func() (*Req, error) {
		piece.Free(given)
		given = nil
		req, err := receive(ctx, r, stream)
		if carrier, ok := any(req).(interface{ GetData() []byte }); ok && err == nil {
			given = carrier.GetData()
		}
		return req, err
	}
}

// receive returns the next valid message of a client's stream.
func receive[Req any](ctx context.Context, r *Registry, stream *connect.ClientStream[Req]) (*Req, error) {
	if !stream.Receive() {
		if err := stream.Err(); err != nil {
			callFrom(ctx).noteBroken()
			return nil, err
		}
		return nil, io.EOF
	}
	req := stream.Msg()
	if err := r.admit(ctx, req); err != nil {
		return nil, err
	}
	return req, nil
}

// validationError turns what the validator found into an RPC error that names the fields.
func validationError(err error) error {
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		return fmt.Errorf("validate: %w", err)
	}
	const most = 5 // enough to mend a request; each may quote the key of a map, so the text is cut too
	var text strings.Builder
	for i, violation := range invalid.Violations {
		if i == most {
			fmt.Fprintf(&text, "; and %d more", len(invalid.Violations)-most)
			break
		}
		if i > 0 {
			text.WriteString("; ")
		}
		text.WriteString(violationText(violation))
	}
	return Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument,
		"Mend the named fields and call again.", "%s", cut(text.String()))
}

// violationText says which field is wrong and what would be right.
func violationText(violation *protovalidate.Violation) string {
	field := protovalidate.FieldPathString(violation.Proto.GetField())
	switch rule := violation.Proto.GetRuleId(); {
	case rule == "string.min_len" && violation.FieldValue.IsValid() && violation.FieldValue.String() == "":
		return field + ": is required"
	case rule == "string.not_contains": // quoted, as what is refused is a NUL byte
		return fmt.Sprintf("%s: must not contain %q", field, violation.RuleValue.String())
	}
	return violation.String()
}

// finish maps a handler's error for the wire and notes it for the log line.
func finish(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	err = whyEnded(ctx, err)
	callFrom(ctx).noteError(err)
	return wireError(err)
}
