package pyrunner

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	// unaryTimeout is how long a guest may take over a call that is not bounded otherwise. A slow
	// machine that starts a kernel under gVisor needs seconds.
	unaryTimeout = 60 * time.Second
	// settleTimeout is how long a broken stream waits for the news that its sandbox ended: the
	// stream may break a moment before.
	settleTimeout = 2 * time.Second
)

var (
	// errSandboxEnded is why a call was given up when its sandbox ended.
	errSandboxEnded = errors.New("the sandbox ended during the call")
	// errOverdue is why a call was given up when the guest did not answer in time.
	errOverdue = errors.New("the guest did not end the call in time")
	// errNoResult says that a guest ended a stream without its last event.
	errNoResult = errors.New("the stream ended without a result")
)

// A call is one call to the guest of one sandbox. It ends when the sandbox does. End must be called.
type call struct {
	sandbox sandbox.Sandbox
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	watched chan struct{}
}

// begin returns a call and the context to make it with. Without a limit (zero) the call may last as
// long as its caller and its sandbox.
func begin(ctx context.Context, sb sandbox.Sandbox, limit time.Duration) (context.Context, *call) {
	callCtx, cancel := context.WithCancelCause(withSandbox(ctx, sb))
	c := &call{sandbox: sb, cancel: cancel, watched: make(chan struct{})}
	if limit > 0 {
		c.timer = time.AfterFunc(limit, func() { cancel(errOverdue) })
	}
	go func() {
		defer close(c.watched)
		select {
		case <-sb.Done():
			cancel(errSandboxEnded)
		case <-callCtx.Done():
		}
	}()
	return callCtx, c
}

// end stops whatever of the call still goes on, and waits for its goroutine.
func (c *call) end() {
	if c.timer != nil {
		c.timer.Stop()
	}
	c.cancel(context.Canceled)
	<-c.watched
}

// why says why a call failed with err: errSandboxEnded, errOverdue, or an error that is fit for the
// caller. The contexts are those that begin took and returned.
func (c *call) why(ctx, callCtx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return callerLeft(ctxErr)
	}
	switch cause := context.Cause(callCtx); {
	case errors.Is(cause, errSandboxEnded), errors.Is(cause, errOverdue):
		return cause
	}
	if answer := guestAnswer(err); answer != nil {
		return answer
	}
	if connect.CodeOf(err) == connect.CodeResourceExhausted {
		return replyTooLarge(err)
	}
	settle := time.NewTimer(settleTimeout)
	defer settle.Stop()
	select {
	case <-c.sandbox.Done():
		return errSandboxEnded
	case <-ctx.Done():
		return callerLeft(ctx.Err())
	case <-settle.C:
		return guestBroken(err)
	}
}

// unary makes one call to the guest of a session and returns its reply, or an error that is fit for
// the caller.
func unary[Req sessionRequest, Res any](
	ctx context.Context, sandboxes Sandboxes, req Req, do func(context.Context, Req) (Res, error),
) (Res, error) {
	var none Res
	sb, err := sandboxes.Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return none, err
	}
	callCtx, c := begin(ctx, sb, unaryTimeout)
	defer c.end()
	res, err := do(callCtx, forGuest(req))
	if err == nil {
		return res, nil
	}
	switch reason := c.why(ctx, callCtx, err); {
	case errors.Is(reason, errSandboxEnded):
		return none, sessionLost(sb)
	case errors.Is(reason, errOverdue):
		return none, guestSilent()
	default:
		return none, reason
	}
}
