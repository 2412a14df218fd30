package gateway

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// releaseSandbox has a deferred session give its sandbox up.
func (s *Sessions) releaseSandbox(ctx context.Context, req *sandgatev1.ReleaseSandboxRequest) (*sandgatev1.ReleaseSandboxResponse, error) {
	sess, err := s.releasable(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	releaser, ok := sess.sandbox.(sandbox.Releaser)
	if !ok {
		return nil, Errorf(connect.CodeFailedPrecondition, ReasonNotDeferred,
			"Delete it, or create the next one with deferred.", "the session was not created with deferred: its sandbox stays")
	}
	sess.measure() // what was used since the last look
	switch err := releaser.Release(ctx); {
	case errors.Is(err, sandbox.ErrBusy):
		return nil, errBusy()
	case errors.Is(err, sandbox.ErrClosed):
		return nil, Errorf(connect.CodeFailedPrecondition, ReasonSessionLost, "Create another session.", "the session has ended")
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		s.opts.Logger.Warn("a sandbox was not given up", "session", shown(sess.id), "sandbox", sess.sandboxID, "err", err)
		return nil, Error(connect.CodeUnavailable, ReasonNotReleased, "The session is as it was. Try again; the gateway's log tells why.",
			&hiddenError{text: "the sandbox could not be given up", cause: err})
	}
	return &sandgatev1.ReleaseSandboxResponse{}, nil
}

// releasable returns a session that can be used, and renews its lease.
func (s *Sessions) releasable(ctx context.Context, id string) (*session, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := principalOf(ctx)
	sess, err := s.usable(p, id)
	if err != nil {
		return nil, err
	}
	if p.Tools != nil && !p.MayCall("python_run") && !p.MayCall("shell_run") {
		return nil, Errorf(connect.CodePermissionDenied, ReasonScopeMissing, "Use a key or token that may run something.",
			"what runs in a session is ended only by whoever may run something")
	}
	s.renew(sess)
	return sess, nil
}

func errBusy() error {
	return Errorf(connect.CodeFailedPrecondition, ReasonSessionBusy,
		"Wait for its calls, or cancel them (CallService, PythonService.Interrupt).", "calls are running in the session")
}

// hasSandbox tells whether a session that is not lost has a sandbox now.
func (sess *session) hasSandbox() bool {
	releaser, deferred := sess.sandbox.(sandbox.Releaser)
	return sess.sandbox != nil && (!deferred || releaser.Made())
}
