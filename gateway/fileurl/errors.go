package fileurl

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Reasons of requests that are refused. They are part of the API.
const (
	ReasonUnknown   = "FILE_URL_UNKNOWN"
	ReasonExpired   = "FILE_URL_EXPIRED"
	ReasonRevoked   = "FILE_URL_REVOKED"
	ReasonMethod    = "FILE_URL_METHOD"
	ReasonEncoding  = "FILE_URL_ENCODING"
	ReasonPart      = "FILE_URL_PART"
	ReasonCondition = "FILE_URL_CONDITION"
	ReasonRange     = "FILE_URL_RANGE"
)

// refusal is an error with an HTTP status of its own, as there is no code for it.
type refusal struct {
	status int
	error
}

func (r *refusal) Unwrap() error { return r.error }

// askMaker is the hint where whoever has the address can do nothing.
const askMaker = "Ask whoever made the address for another one."

func errUnknown() error {
	return gateway.Errorf(connect.CodeNotFound, ReasonUnknown, "Copy the whole address, to its last letter.", "there is no such address")
}

func errExpired() error {
	return &refusal{http.StatusGone, gateway.Errorf(connect.CodeNotFound, ReasonExpired, askMaker, "the address has expired")}
}

func errRevoked() error {
	return &refusal{http.StatusGone, gateway.Errorf(connect.CodeNotFound, ReasonRevoked, askMaker, "whoever made the address may not use it here any more")}
}

func errMethod(hint string) error {
	return &refusal{http.StatusMethodNotAllowed, gateway.Errorf(connect.CodeUnimplemented, ReasonMethod, hint, "the address is for something else")}
}

func errEncoding() error {
	return &refusal{
		http.StatusUnsupportedMediaType,
		gateway.Errorf(connect.CodeInvalidArgument, ReasonEncoding, "Send the file as it is.", "the file has a Content-Encoding"),
	}
}

func errPart() error {
	return gateway.Errorf(connect.CodeInvalidArgument, ReasonPart, "Send the whole file.", "the request has a part of a file")
}

func errCondition() error {
	return &refusal{
		http.StatusPreconditionFailed,
		gateway.Errorf(connect.CodeFailedPrecondition, ReasonCondition, "Leave out If-Match and its like.", "uploads take no conditions"),
	}
}

func errUnsatisfiable() error {
	return &refusal{
		http.StatusRequestedRangeNotSatisfiable,
		gateway.Error(connect.CodeOutOfRange, ReasonRange, "Content-Range tells how long the file is.", errRange),
	}
}

// forStrangers returns what whoever has an address learns of an error of a call's: what kind of error it
// is. Its text is for the maker of the address; it may name what else there is in the session.
func forStrangers(err error) error {
	code := connect.CodeOf(err)
	reason := gateway.ReasonInternal
	if wire, ok := errors.AsType[*connect.Error](err); ok {
		for _, detail := range wire.Details() {
			value, valueErr := detail.Value()
			if known, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
				reason = known.GetReason()
			}
		}
	}
	hint := askMaker
	if code == connect.CodeUnauthenticated { // since the request was let in
		return errRevoked()
	}
	if code == connect.CodeUnavailable || code == connect.CodeDeadlineExceeded {
		hint = "Try again in a moment."
	}
	if code == connect.CodeResourceExhausted {
		hint = "Try again later, or with a smaller file."
	}
	return gateway.Errorf(code, reason, hint, "the file cannot be had: %s", code)
}
