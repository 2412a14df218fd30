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
	switch err := releaser.Release(ctx); {
	case errors.Is(err, sandbox.ErrBusy):
		return nil, errBusy()
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
	sess, err := s.usable(principalOf(ctx), id)
	if err != nil {
		return nil, err
	}
	s.renew(sess)
	return sess, nil
}

func errBusy() error {
	return Errorf(connect.CodeFailedPrecondition, ReasonSessionBusy,
		"Wait for its calls, or cancel them (CallService, PythonService.Interrupt).", "calls are running in the session")
}
