package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"

	"connectrpc.com/connect"
)

// ReasonRequestBroken is the reason of calls whose request ended, or made no sense, before it was whole.
const ReasonRequestBroken = "REQUEST_BROKEN"

// bodyError turns what the HTTP layer says of a body that cannot be read on into an RPC error: it is the
// client's doing, and the protocol layer would take it for a failure of the gateway.
func bodyError(ctx context.Context, err error) error {
	var known *connect.Error
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.As(err, &known), errors.As(err, &tooLarge), errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case ctx.Err() != nil:
		return connect.NewError(connect.CodeCanceled, errors.New("the client left"))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Errorf(connect.CodeCanceled, ReasonRequestBroken, "Send all of the request that was announced.", "the request ended before it was whole")
	}
	return Error(connect.CodeInvalidArgument, ReasonRequestBroken, "Send the request again, whole and well-formed.",
		&hiddenError{text: "the request could not be read", cause: err})
}

// blame returns the code of a call that ended with code as it is counted and logged: one that failed by its client's own
// doing is no failure of the gateway. The protocol layer calls by the names internal and unknown also what
// it cannot read before any handler has it, and what it cannot send to a client that left.
func blame(ctx context.Context, c *call, code string) string {
	if code != connect.CodeInternal.String() && code != connect.CodeUnknown.String() {
		return code
	}
	c.mu.Lock()
	err, received, broken := c.err, c.received, c.broken
	c.mu.Unlock()
	if _, raised := errors.AsType[*connect.Error](err); err != nil && (!raised || detailReason(err) != "") {
		return code // it is ours, or a sandbox's: whoever made it said so, or could not be the protocol layer
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return connect.CodeCanceled.String()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return connect.CodeDeadlineExceeded.String()
	case !received, broken:
		return connect.CodeInvalidArgument.String()
	}
	return code
}
