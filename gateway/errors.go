package gateway

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Reasons that the gateway itself puts into ErrorDetail.reason. They are part of the API.
const (
	ReasonInvalidArgument   = "INVALID_ARGUMENT"
	ReasonSessionNotFound   = "SESSION_NOT_FOUND"
	ReasonSessionLost       = "SESSION_LOST"
	ReasonSessionBusy       = "SESSION_BUSY"
	ReasonNotDeferred       = "NOT_DEFERRED"
	ReasonNotReleased       = "NOT_RELEASED"
	ReasonTooManySessions   = "TOO_MANY_SESSIONS"
	ReasonTenantsNeedGVisor = "TENANTS_NEED_GVISOR"
	ReasonEngineUnavailable = "ENGINE_UNAVAILABLE"
	ReasonStateUnavailable  = "STATE_UNAVAILABLE"
	ReasonToolNotFound      = "TOOL_NOT_FOUND"
	ReasonCallIDUnsupported = "CALL_ID_UNSUPPORTED"
	ReasonOverloaded        = "OVERLOADED"
	ReasonWorkspaceInUse    = "WORKSPACE_IN_USE"
	ReasonWorkspaceNotFound = "WORKSPACE_NOT_FOUND"
	ReasonWorkspaceSlow     = "WORKSPACE_SLOW"
	ReasonDraining          = "DRAINING"
	ReasonHostRefused       = "HOST_REFUSED"
	ReasonOriginRefused     = "ORIGIN_REFUSED"
	ReasonInternal          = "INTERNAL"
)

// Error makes an RPC error that carries an ErrorDetail: reason is a stable identifier for programs,
// hint one sentence on what to do next. The text of cause reaches the caller.
func Error(code connect.Code, reason, hint string, cause error) *connect.Error {
	err := connect.NewError(code, cause)
	// A detail that does not marshal cannot happen with two strings; the error stands without it.
	if detail, detailErr := connect.NewErrorDetail(&sandgatev1.ErrorDetail{Reason: reason, Hint: hint}); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}

// Errorf is [Error] with a formatted text instead of a cause. It does not wrap.
func Errorf(code connect.Code, reason, hint, format string, args ...any) *connect.Error {
	return Error(code, reason, hint, fmt.Errorf(format, args...))
}

// hiddenError shows the caller a text of its own. Its cause is for the log.
type hiddenError struct {
	text  string
	cause error
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.cause }

// wireError turns whatever a handler returned into what the caller gets: an RPC error passes as it
// is, the end of the context gets its own codes, and the text of everything else is hidden, as it
// may name paths or hosts of the gateway.
func wireError(err error) error {
	if err == nil {
		return nil
	}
	var rpcErr *connect.Error
	switch {
	case errors.As(err, &rpcErr):
		return rpcErr
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, context.DeadlineExceeded)
	default:
		return Error(connect.CodeInternal, ReasonInternal,
			"This is a fault of the gateway. Its log tells more under the id in Sandgate-Request-Id.", &hiddenError{text: "internal error", cause: err})
	}
}

// causeOf returns the error behind a hidden one, for the log.
func causeOf(err error) error {
	if hidden, ok := errors.AsType[*hiddenError](err); ok {
		return hidden.cause
	}
	return err
}

// detailReason returns the reason in an RPC error's detail, empty for none.
func detailReason(err error) string {
	rpcErr, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return ""
	}
	for _, detail := range rpcErr.Details() {
		value, err := detail.Value()
		if text, ok := value.(*sandgatev1.ErrorDetail); ok && err == nil {
			return text.GetReason()
		}
	}
	return ""
}

// errDraining is what new work gets while the gateway ends.
func errDraining() error {
	return Errorf(connect.CodeUnavailable, ReasonDraining, "Try again at another gateway, or when it is back.", "the gateway is shutting down")
}
