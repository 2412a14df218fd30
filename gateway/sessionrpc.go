package gateway

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// The lease of a session where neither its caller nor the operator says anything.
const (
	DefaultIdleTimeout = 600 * time.Second
	DefaultMaxLifetime = 24 * time.Hour
)

// Register adds SessionService to a registry.
func (s *Sessions) Register(r *Registry) {
	Unary(r, sandgatev1connect.SessionServiceCreateSessionProcedure, s.createSession)
	Unary(r, sandgatev1connect.SessionServiceGetSessionProcedure, s.getSession)
	Unary(r, sandgatev1connect.SessionServiceListSessionsProcedure, s.listSessions)
	Unary(r, sandgatev1connect.SessionServiceExtendSessionProcedure, s.extendSession)
	Unary(r, sandgatev1connect.SessionServiceDeleteSessionProcedure, s.deleteSession)
	Unary(r, sandgatev1connect.SessionServiceReleaseSandboxProcedure, s.releaseSandbox)
}

func (s *Sessions) createSession(ctx context.Context, req *sandgatev1.CreateSessionRequest) (*sandgatev1.CreateSessionResponse, error) {
	caller := principalOf(ctx)
	if caller.Session != "" {
		return nil, Errorf(connect.CodePermissionDenied, ReasonSessionBound,
			"Work in that session, or use a key.", "this token is for one session only")
	}
	if err := callFrom(ctx).payer().check(); err != nil {
		return nil, quotaError(err)
	}
	spec, err := s.specFor(req)
	if err != nil {
		return nil, err
	}
	if err := checkMetadata(req.GetMetadata()); err != nil {
		return nil, err
	}
	if err := s.mayPersist(caller, req); err != nil {
		return nil, err
	}
	lease := lease{idle: s.opts.IdleTimeout, lifetime: s.opts.MaxLifetime}
	if req.GetIdleTimeout() != nil {
		lease.idle = req.GetIdleTimeout().AsDuration()
	}
	if req.GetMaxLifetime() != nil {
		lease.lifetime = req.GetMaxLifetime().AsDuration()
	}
	want := wish{tenant: caller.Tenant, spec: spec, lease: lease, metadata: req.GetMetadata(), workspace: req.GetWorkspace()}
	if req.GetPersist() {
		want.keeping.Workspace = req.GetWorkspace()
	}
	sess, err := s.create(ctx, want)
	if err != nil {
		return nil, err
	}
	callFrom(ctx).noteSession(sess.id)
	return &sandgatev1.CreateSessionResponse{Session: s.describe(sess)}, nil
}

func (s *Sessions) getSession(ctx context.Context, req *sandgatev1.GetSessionRequest) (*sandgatev1.GetSessionResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sess, err := s.known(principalOf(ctx), req.GetSessionId())
	if err != nil {
		return nil, err
	}
	return &sandgatev1.GetSessionResponse{Session: s.describe(sess)}, nil
}

func (s *Sessions) extendSession(ctx context.Context, req *sandgatev1.ExtendSessionRequest) (*sandgatev1.ExtendSessionResponse, error) {
	sess, err := s.extend(principalOf(ctx), req)
	if err != nil {
		return nil, err
	}
	s.nudge() // a shorter lease may end before the keeper looks again
	if req.GetIdleTimeout() != nil {
		// The caller was told a length, so it must hold after a crash too.
		now := time.Now()
		err := s.opts.Store.Renew(ctx, []store.Lease{{
			ID: sess.id, IdleTimeout: time.Duration(sess.idleTimeout.Load()), IdleExpiresAt: s.idleExpiry(sess, now),
		}})
		if err != nil {
			return nil, stateUnavailable(ctx,
				"The lease is renewed, and would not survive a crash of the gateway. Try again later.", err)
		}
	}
	return &sandgatev1.ExtendSessionResponse{Session: s.describe(sess)}, nil
}

// extend renews the lease in memory. It holds the lock so that the session cannot end in between.
func (s *Sessions) extend(p *identity.Principal, req *sandgatev1.ExtendSessionRequest) (*session, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sess, err := s.usable(p, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	if req.GetIdleTimeout() != nil {
		sess.idleTimeout.Store(int64(req.GetIdleTimeout().AsDuration()))
	}
	s.renew(sess)
	return sess, nil
}

func (s *Sessions) deleteSession(ctx context.Context, req *sandgatev1.DeleteSessionRequest) (*sandgatev1.DeleteSessionResponse, error) {
	if err := s.saveBefore(ctx, req); err != nil {
		return nil, err
	}
	sess, err := s.end(principalOf(ctx), req.GetSessionId())
	if err != nil {
		return nil, err
	}
	select {
	case <-sess.ended:
		if sess.endErr != nil {
			return nil, sess.endErr
		}
		return &sandgatev1.DeleteSessionResponse{}, nil
	case <-ctx.Done():
		return nil, ctx.Err() // the session ends all the same
	}
}
