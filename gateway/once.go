package gateway

import (
	"context"
	"crypto/sha256"
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// Reasons of calls that carry a call_id. They are part of the API.
const (
	ReasonCallConflict = "CALL_ID_CONFLICT"
	ReasonCallLost     = "CALL_LOST"
	ReasonCallNotKept  = "CALL_NOT_KEPT"
	ReasonCallNotFound = "CALL_NOT_FOUND"
)

// once makes a call that carries a call_id, or joins the one that there is, and follows it to its end.
func (t *tools) once(ctx context.Context, made *made, progress progressFunc) (*sandgatev1.CallToolResponse, error) {
	if t.journal == nil {
		made.ticket.leave()
		return nil, Errorf(connect.CodeUnimplemented, ReasonCallIDUnsupported,
			"Leave call_id out. The call was not made.", "this gateway keeps no journal of calls")
	}
	outer, body := callFrom(ctx), t.bodyOf(made)
	if err := outer.payer().room(); err != nil && !t.knows(ctx, made.request) {
		made.ticket.leave()
		return nil, err
	}
	live, began, err := t.journal.Begin(ctx, journal.Request{
		Tenant: principalOf(ctx).Tenant, CallID: made.request.GetCallId(), SessionID: made.request.GetSessionId(),
		Tool: made.tool.Proto.GetName(), Hash: hashOf(made.request), Body: body,
	}, func(ctx context.Context, row store.Call, emit func(int64, *structpb.Struct)) journal.Outcome {
		// The work goes on when the caller leaves, so what it holds is its own.
		inner := &call{id: outer.id, procedure: outer.procedure, principal: outer.principal, bill: outer.bill, audit: outer.audit}
		var durable *sandbox.Durable
		if len(body) > 0 { // else its work ends with this gateway: nobody would take it up
			durable = sandbox.NewDurable(row.ID)
		}
		return t.work(withCall(ctx, inner), made, durable, emit)
	})
	if !began {
		made.ticket.leave() // whoever makes the call has a place of its own
	}
	if err != nil {
		return nil, journalError(err)
	}
	outcome, err := live.Follow(ctx, 0, progress)
	return settled(outcome, err)
}

// knows tells whether a call carries the id of one that was made before.
func (t *tools) knows(ctx context.Context, request *sandgatev1.CallToolRequest) bool {
	if t.journal == nil || request.GetCallId() == "" {
		return false
	}
	_, err := t.journal.Attach(ctx, principalOf(ctx).Tenant, request.GetCallId())
	return err == nil
}

// hashOf tells requests apart that have the same call_id.
func hashOf(request *sandgatev1.CallToolRequest) []byte {
	plain := &sandgatev1.CallToolRequest{SessionId: request.GetSessionId(), Name: request.GetName(), Arguments: request.GetArguments()}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(plain)
	if err != nil {
		return nil // it was decoded a moment ago, so it marshals
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

// settled returns how a call ended as its caller is told.
func settled(outcome journal.Outcome, err error) (*sandgatev1.CallToolResponse, error) {
	switch {
	case err != nil:
		return nil, journalError(err)
	case outcome.Failure != nil:
		return nil, errorOf(outcome.Failure)
	default:
		return outcome.Result, nil
	}
}

// journalError maps the errors of a journal.
func journalError(err error) error {
	switch {
	case errors.Is(err, journal.ErrConflict):
		return Error(connect.CodeAlreadyExists, ReasonCallConflict, "Use another call_id for another call. Nothing was run.", err)
	case errors.Is(err, journal.ErrLost):
		return Error(connect.CodeAborted, ReasonCallLost, "Look at what it left in the session, and call with another call_id if it must be done again.", err)
	case errors.Is(err, journal.ErrNotKept):
		return Error(connect.CodeUnavailable, ReasonCallNotKept, "Ask again with the same call_id: nothing is run again.", err)
	case errors.Is(err, journal.ErrUnwritten):
		return Error(connect.CodeUnavailable, ReasonCallNotKept, "Nothing was run. Try again in a few seconds, with the same call_id.",
			&hiddenError{text: "the call could not be written down", cause: err})
	case errors.Is(err, journal.ErrBusy):
		return Error(connect.CodeResourceExhausted, ReasonOverloaded, "Nothing was run. Try again when other calls have ended.", err)
	case errors.Is(err, journal.ErrClosed):
		return errDraining()
	case errors.Is(err, journal.ErrReserved):
		return Error(connect.CodeInvalidArgument, ReasonInvalidArgument, "Choose another call_id.", err)
	case errors.Is(err, journal.ErrUnknown):
		return Error(connect.CodeNotFound, ReasonCallNotFound, "Calls are kept for 24 hours; ListCalls shows them.", err)
	default:
		return err
	}
}

// failureOf returns an error as it is written down, which is as its caller sees it.
func failureOf(err error) *sandgatev1.CallError {
	var wire *connect.Error
	if !errors.As(wireError(err), &wire) {
		return &sandgatev1.CallError{Code: connect.CodeUnknown.String()}
	}
	failure := &sandgatev1.CallError{Code: wire.Code().String(), Message: wire.Message()}
	for _, detail := range wire.Details() {
		if value, err := detail.Value(); err == nil {
			if known, ok := value.(*sandgatev1.ErrorDetail); ok {
				failure.Reason, failure.Hint = known.GetReason(), known.GetHint()
			}
		}
	}
	return failure
}

// errorOf is the reverse of failureOf.
func errorOf(failure *sandgatev1.CallError) error {
	var code connect.Code
	if err := code.UnmarshalText([]byte(failure.GetCode())); err != nil {
		code = connect.CodeUnknown
	}
	return Errorf(code, failure.GetReason(), failure.GetHint(), "%s", failure.GetMessage())
}
