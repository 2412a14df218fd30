package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox"
)

// retryAfterHeader says in whole seconds when trying again makes sense, as HTTP has it.
const retryAfterHeader = "Retry-After"

// engineUnavailable is the error of a session for which no sandbox could be made. Where the engine is not even
// asked, the caller learns when it will be.
func engineUnavailable(cause error) *connect.Error {
	hint, seconds := "Try again in a few seconds. Sessions that run are not affected.", 0
	if refused, ok := errors.AsType[*sandbox.RefusedError](cause); ok {
		seconds = int(math.Ceil(refused.RetryAfter.Seconds()))
		hint = fmt.Sprintf("It failed several times in a row and is tried again in %d s; try again then.", seconds)
	}
	err := Error(connect.CodeUnavailable, ReasonEngineUnavailable, hint,
		&hiddenError{text: "no sandbox could be made: the engine does not answer or has no room", cause: cause})
	if seconds > 0 {
		err.Meta().Set(retryAfterHeader, strconv.Itoa(seconds))
	}
	return err
}

// stateUnavailable is the error of what could not be written down, with a hint on what that leaves. It is the
// end of ctx where that is why.
func stateUnavailable(ctx context.Context, hint string, cause error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return Error(connect.CodeUnavailable, ReasonStateUnavailable, hint,
		&hiddenError{text: "the gateway could not write down what was asked for", cause: cause})
}
