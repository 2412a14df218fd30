package guestrpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

const (
	// maxErrorBytes bounds the message, and the hint, of an error that a guest returned.
	maxErrorBytes = 4 << 10
	// maxReasonBytes bounds the reason of an error that a guest returned.
	maxReasonBytes = 64
	// maxDetails bounds how many details of a guest's error are looked at.
	maxDetails = 8
)

var (
	// ErrSessionLost is wrapped by the error of a call whose sandbox ended.
	ErrSessionLost = errors.New("the session is lost")
	// ErrOverdue is wrapped by the error of a call that was given up because the guest was late.
	ErrOverdue = fmt.Errorf("the sandbox did not answer within %s", answerTimeout)
)

// NewError makes an error with a detail: reason for programs, hint for whoever reads it.
func NewError(code connect.Code, cause error, reason, hint string) *connect.Error {
	err := connect.NewError(code, cause)
	if detail, detailErr := connect.NewErrorDetail(&sandgatev1.ErrorDetail{Reason: reason, Hint: hint}); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}

// CallerLeft is the error of a call whose caller is gone or out of time.
func CallerLeft(ctxErr error) error {
	if errors.Is(ctxErr, context.DeadlineExceeded) {
		return NewError(connect.CodeDeadlineExceeded, ctxErr, "CALLER_DEADLINE",
			"Your own deadline for the call passed, and its work was stopped. Allow more time.")
	}
	return connect.NewError(connect.CodeCanceled, ctxErr)
}

// SessionLost is the error of a call that found its sandbox ended.
func SessionLost(sb sandbox.Sandbox) error {
	return NewError(connect.CodeFailedPrecondition,
		fmt.Errorf("%w: %s", ErrSessionLost, lostBecause(sb)), "SESSION_LOST",
		"Create a new session; the files and variables of this one are gone.")
}

// lostBecause says in half a sentence why a sandbox ended. What its engine says is not for tenants.
func lostBecause(sb sandbox.Sandbox) string {
	switch err := sb.Err(); {
	case errors.Is(err, sandbox.ErrMemory):
		return "its sandbox ran out of memory"
	case errors.Is(err, sandbox.ErrClosed):
		return "it was ended"
	default:
		return "its sandbox died"
	}
}

// silent is the error of a call that the guest did not answer in time.
func silent() error {
	return NewError(connect.CodeDeadlineExceeded, ErrOverdue, "SANDBOX_SILENT",
		"The sandbox is overloaded or stuck. Look whether the call had an effect before repeating it, or make a new session.")
}

// Broken is the error of a call that was answered with something that makes no sense.
func Broken(cause error) error {
	return NewError(connect.CodeInternal,
		fmt.Errorf("the sandbox broke off its answer: %s", Clip(cause.Error(), maxErrorBytes)), "SANDBOX_MISBEHAVED",
		"Look whether the call had an effect before repeating it. If this happens again, make a new session.")
}

// ReplyTooLarge is the error of a call whose answer was stopped because it was beyond every bound. The
// hint says how to ask for less.
func ReplyTooLarge(cause error, hint string) error {
	return NewError(connect.CodeResourceExhausted,
		fmt.Errorf("the answer of the sandbox was stopped: %s", Clip(cause.Error(), maxErrorBytes)), "REPLY_TOO_LARGE", hint)
}

// guestAnswer returns the error that a guest answered with, stripped to a code, a message and an
// ErrorDetail, nil if there was none that may be believed.
func guestAnswer(err error) *connect.Error {
	var answer *connect.Error
	if !connect.IsWireError(err) || !errors.As(err, &answer) || answer.Code() == connect.CodeCanceled {
		// A guest that says that the caller left is ending itself, or lies.
		return nil
	}
	reason, hint := "SANDBOX_ERROR", ""
	for _, detail := range answer.Details()[:min(len(answer.Details()), maxDetails)] {
		if detail.Type() != string((*sandgatev1.ErrorDetail)(nil).ProtoReflect().Descriptor().FullName()) {
			continue
		}
		value, valueErr := detail.Value()
		if said, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
			reason, hint = cleanReason(said.GetReason()), Clip(said.GetHint(), maxErrorBytes)
			break
		}
	}
	return NewError(guestCode(answer.Code()), errors.New(Clip(answer.Message(), maxErrorBytes)), reason, hint)
}

// guestCode returns the code of a guest's error, unless it is one of those that speak about the
// caller, its key or the gateway: a guest knows nothing of them, and a client might act on them.
func guestCode(code connect.Code) connect.Code {
	switch code {
	case connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodeAlreadyExists,
		connect.CodePermissionDenied, connect.CodeResourceExhausted, connect.CodeFailedPrecondition,
		connect.CodeAborted, connect.CodeOutOfRange, connect.CodeUnimplemented,
		connect.CodeDeadlineExceeded, connect.CodeInternal:
		return code
	case connect.CodeCanceled, connect.CodeUnknown, connect.CodeUnavailable, connect.CodeDataLoss,
		connect.CodeUnauthenticated:
		return connect.CodeInternal
	default:
		return connect.CodeInternal
	}
}

// cleanReason returns a guest's reason if it is one: capitals, digits and underscores. Those that
// speak of sessions are the gateway's.
func cleanReason(reason string) string {
	strange := func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' }
	if len(reason) > maxReasonBytes || strings.HasPrefix(reason, "SESSION_") || strings.ContainsFunc(reason, strange) {
		return "SANDBOX_ERROR"
	}
	return reason
}

// Clip returns text as valid UTF-8 of at most limit bytes.
func Clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD") // first, as it may become longer
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
