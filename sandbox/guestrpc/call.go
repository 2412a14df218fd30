package guestrpc

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	// answerTimeout is how long a guest may take to answer, or to take or give the next piece of a
	// stream. A slow machine that starts a kernel under gVisor needs seconds.
	answerTimeout = 60 * time.Second
	// settleTimeout is how long a broken stream waits for the news that its sandbox ended: the
	// stream may break a moment before.
	settleTimeout = 2 * time.Second
)

// Sandboxes finds the sandbox of a session. Its method may be called by any number of goroutines.
type Sandboxes interface {
	// Sandbox returns the sandbox of a session that the caller of ctx may use. Its error is a
	// *connect.Error, which reaches the caller as it is.
	Sandbox(ctx context.Context, sessionID string) (sandbox.Sandbox, error)
}

// A Call is one call to the guest of one sandbox. It ends when the sandbox does, and when the guest
// is late while its clock runs. End must be called.
type Call struct {
	sandbox  sandbox.Sandbox
	tooLarge string
	cancel   context.CancelCauseFunc
	clock    *time.Timer
	watched  chan struct{}
}

// Begin returns a call and the context to make it with. Its clock does not run yet. TooLarge is the
// hint for a caller whose answer had a message beyond every bound.
func Begin(ctx context.Context, sb sandbox.Sandbox, tooLarge string) (context.Context, *Call) {
	callCtx, cancel := context.WithCancelCause(WithSandbox(ctx, sb))
	c := &Call{sandbox: sb, tooLarge: tooLarge, cancel: cancel, watched: make(chan struct{})}
	c.clock = time.AfterFunc(answerTimeout, c.GiveUp)
	c.clock.Stop()
	go func() {
		defer close(c.watched)
		select {
		case <-sb.Done():
			cancel(ErrSessionLost)
		case <-callCtx.Done():
		}
	}()
	return callCtx, c
}

// StartClock gives the guest a minute from now, until StopClock.
func (c *Call) StartClock() { c.clock.Reset(answerTimeout) }

// StopClock lets the call last as long as its caller and its sandbox.
func (c *Call) StopClock() { c.clock.Stop() }

// Waiting runs do, which waits for the guest, with the clock running.
func (c *Call) Waiting(do func() error) error {
	c.StartClock()
	defer c.StopClock()
	return do()
}

// GiveUp stops the call because the guest is late: its error wraps [ErrOverdue].
func (c *Call) GiveUp() { c.cancel(ErrOverdue) }

// Stop stops the call because nobody needs the rest of it, so that closing its stream cannot wait for
// the guest.
func (c *Call) Stop() { c.cancel(context.Canceled) }

// End stops whatever of the call still goes on, and waits for its goroutine.
func (c *Call) End() {
	c.StopClock()
	c.Stop()
	<-c.watched
}

// Why returns the error for the caller of a call that failed with err. It wraps [ErrSessionLost] or
// [ErrOverdue] if that is why. The contexts are those that Begin took and returned.
func (c *Call) Why(ctx, callCtx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return CallerLeft(ctxErr)
	}
	switch cause := context.Cause(callCtx); {
	case errors.Is(cause, ErrSessionLost):
		return SessionLost(c.sandbox)
	case errors.Is(cause, ErrOverdue):
		return silent()
	}
	if errors.Is(err, sandbox.ErrUnavailable) { // it was to be made for this call
		return NewError(connect.CodeUnavailable, errors.New("the session's sandbox is not there yet"), "ENGINE_UNAVAILABLE",
			"Nothing was run, and the session's files are as they were. Try again.")
	}
	if answer := guestAnswer(err); answer != nil {
		return answer
	}
	if connect.CodeOf(err) == connect.CodeResourceExhausted {
		return ReplyTooLarge(err, c.tooLarge)
	}
	settle := time.NewTimer(settleTimeout)
	defer settle.Stop()
	select {
	case <-c.sandbox.Done():
		return SessionLost(c.sandbox)
	case <-ctx.Done():
		return CallerLeft(ctx.Err())
	case <-settle.C:
		return Broken(err)
	}
}

// Unary makes one call to the guest of a session and returns its reply, or an error that is fit for
// the caller. TooLarge is as [Begin] takes it.
func Unary[Req Request, Res any](
	ctx context.Context, sandboxes Sandboxes, req Req, do func(context.Context, Req) (Res, error), tooLarge string,
) (Res, error) {
	var none Res
	sb, err := sandboxes.Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return none, err
	}
	callCtx, c := Begin(ctx, sb, tooLarge)
	defer c.End()
	c.StartClock()
	res, err := do(callCtx, ForGuest(req))
	if err != nil {
		return none, c.Why(ctx, callCtx, err)
	}
	return res, nil
}
