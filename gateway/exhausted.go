package gateway

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway/quota"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// ReasonQuotaExceeded is that of a call for which its tenant, or its token, has nothing left. It is part
// of the API.
const ReasonQuotaExceeded = "QUOTA_EXCEEDED"

// ReasonStopped is that of a call that was running when the gateway ended. It is part of the API.
const ReasonStopped = "GATEWAY_STOPPED"

// errStopped is why the context of a call ended that the gateway does not wait for any longer.
var errStopped = errors.New("the gateway shut down, and the call with its session")

// whyEnded returns why a call's work ended in err: that there was nothing left, or that the gateway ends,
// where that ended it.
func whyEnded(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errStopped) {
		// Not unavailable, which clients take for leave to send it again.
		return Error(connect.CodeAborted, ReasonStopped, "It had begun and was stopped. Make another session when the gateway is back.", errStopped)
	}
	if exceeded, ok := errors.AsType[*quota.Exceeded](context.Cause(ctx)); ok && err != nil {
		return quotaError(exceeded)
	}
	return err
}

// quotaError maps the errors of the package quota.
func quotaError(err error) error {
	if full, ok := errors.AsType[*quota.Full](err); ok {
		return later(Error(connect.CodeResourceExhausted, ReasonOverloaded, "Nothing was run. Try again then, or with fewer calls at once.", full), full.Retry)
	}
	if exceeded, ok := errors.AsType[*quota.Exceeded](err); ok {
		hint := "Delete a session that is no longer needed, or ask the operator for a higher limit."
		if exceeded.What == quota.Stored.String() {
			hint = "Delete a session or a workspace that is no longer needed, or ask the operator for a higher limit."
		}
		switch {
		case exceeded.Token:
			hint = "This token is spent. Ask whoever made it for another one."
		case exceeded.Retry > 0:
			hint = "Wait until the hour is over, or ask the operator for a higher limit."
		}
		return later(Error(connect.CodeResourceExhausted, ReasonQuotaExceeded, hint, exceeded), exceeded.Retry)
	}
	if errors.Is(err, quota.ErrClosed) {
		return errDraining()
	}
	return wireError(err) // the caller's deadline, or that it left
}

// later says when a call may be made again.
func later(err *connect.Error, after time.Duration) *connect.Error {
	if after <= 0 {
		return err
	}
	seconds := int64(math.Ceil(after.Seconds()))
	said := connect.NewError(err.Code(), errors.Unwrap(err))
	said.Meta().Set("Retry-After", strconv.FormatInt(seconds, 10))
	for _, detail := range err.Details() {
		value, valueErr := detail.Value()
		if known, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
			known.RetryAfter = durationpb.New(after.Truncate(time.Millisecond))
			if fresh, freshErr := connect.NewErrorDetail(known); freshErr == nil {
				detail = fresh
			}
		}
		said.AddDetail(detail)
	}
	return said
}
