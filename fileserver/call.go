package fileserver

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	// answerTimeout is how long a guest may take to answer, or to take or give the next piece of a
	// stream.
	answerTimeout = 60 * time.Second
	// settleTimeout is how long a broken stream waits for the news that its sandbox ended: the
	// stream may break a moment before.
	settleTimeout = 2 * time.Second
)

var (
	// errSandboxEnded is why a call was given up when its sandbox ended.
	errSandboxEnded = errors.New("the sandbox ended during the call")
	// errSilent is why a call was given up when the guest did not answer in time.
	errSilent = errors.New("the guest did not answer in time")
)

// A call is one call to the guest of one sandbox. It ends when the sandbox does, and when the guest
// keeps it waiting for too long. End must be called.
type call struct {
	sandbox sandbox.Sandbox
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	watched chan struct{}
}

// begin returns a call and the context to make it with. Its clock does not run yet.
func begin(ctx context.Context, sb sandbox.Sandbox) (context.Context, *call) {
	callCtx, cancel := context.WithCancelCause(withSandbox(ctx, sb))
	c := &call{sandbox: sb, cancel: cancel, watched: make(chan struct{})}
	c.timer = time.AfterFunc(answerTimeout, func() { cancel(errSilent) })
	c.timer.Stop()
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

// waiting runs do, which waits for the guest, with the clock running.
func (c *call) waiting(do func() error) error {
	c.timer.Reset(answerTimeout)
	defer c.timer.Stop()
	return do()
}

// end stops whatever of the call still goes on, and waits for its goroutine.
func (c *call) end() {
	c.timer.Stop()
	c.cancel(context.Canceled)
	<-c.watched
}

// why returns the error for the caller of a call that failed with err. The contexts are those that
// begin took and returned.
func (c *call) why(ctx, callCtx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return callerLeft(ctxErr)
	}
	switch cause := context.Cause(callCtx); {
	case errors.Is(cause, errSandboxEnded):
		return sessionLost(c.sandbox)
	case errors.Is(cause, errSilent):
		return guestSilent()
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
		return sessionLost(c.sandbox)
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
	callCtx, c := begin(ctx, sb)
	defer c.end()
	var res Res
	err = c.waiting(func() (err error) {
		res, err = do(callCtx, forGuest(req))
		return err
	})
	if err != nil {
		return none, c.why(ctx, callCtx, err)
	}
	return res, nil
}
