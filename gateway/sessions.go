package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
	"github.com/sandgate/sandgate/sandbox"
)

// Store keeps sessions across a restart of the gateway. Its methods may be called by any number of
// goroutines; when one returns without error, what it wrote survives the death of this process.
type Store interface {
	// Sessions returns every session kept, in no order.
	Sessions(ctx context.Context) ([]store.Session, error)
	// Put keeps a session, in place of one with the same id.
	Put(ctx context.Context, session store.Session) error
	// Renew changes the leases of sessions; those it does not know it skips.
	Renew(ctx context.Context, leases []store.Lease) error
	// Lose keeps why a session is lost. One it does not know it skips.
	Lose(ctx context.Context, id, reason string) error
	// Delete forgets a session. One it does not know is no error.
	Delete(ctx context.Context, id string) error
}

// SessionOptions say how sessions are made. Driver, Store, Runtime and Templates must be set.
type SessionOptions struct {
	// Driver makes the sandboxes: usually a pool. It bounds by itself how many it makes at once.
	Driver sandbox.Driver
	// Store keeps the sessions.
	Store Store
	// Runtime is what isolates every session: "runc" or "runsc".
	Runtime string
	// Templates are the allowed ones. The first is the default.
	Templates []string
	// Defaults fill in the limits that a caller leaves at zero. A zero field means the default of
	// the package sandbox.
	Defaults sandbox.Limits
	// Maximum is the operator's bound on limits. A zero field does not bound.
	Maximum sandbox.Limits
	// Allow is asked before a session is made for a tenant. Its error is for the caller. Nil allows.
	Allow func(tenant string) error
	// Accounts have what tenants use. Nil: nobody counts, and there are no limits.
	Accounts Accounts
	// Shared tells whether several tenants may come: then none may have more sessions than it leaves
	// room for, so that there is always one for whoever has none. Nil: no.
	Shared func() bool
	// MaxSessions bounds the running sessions, those being made included. Zero means 256.
	MaxSessions int
	// IdleTimeout is the lease of sessions that ask for none. Zero means [DefaultIdleTimeout].
	IdleTimeout time.Duration
	// MaxLifetime is how long sessions live that do not say. Zero means [DefaultMaxLifetime].
	MaxLifetime time.Duration
	// CreateTimeout bounds the making of one sandbox. Zero means 2 min.
	CreateTimeout time.Duration
	// Workspaces keep files of sessions beyond their end. Nil: no session can ask for that.
	Workspaces Workspaces
	// Audit keeps a record of sessions. Nil: nothing is kept.
	Audit Auditor
	// Logger gets what no caller is told. Nil means slog.Default.
	Logger *slog.Logger
}

// Sessions owns every session and its sandbox: it makes them, keeps their leases, ends them when a
// lease runs out, and says so when a sandbox died. Its methods may be called by any number of
// goroutines.
type Sessions struct {
	opts SessionOptions
	base time.Time // leases are counted from here on the monotonic clock

	mu      sync.RWMutex
	all     map[owned]*session // guarded by mu
	pending map[string]int     // sessions being made, by tenant; guarded by mu
	keepers map[owned]string   // which session saves its files under a name, by the name; guarded by mu
	closed  bool               // guarded by mu
	// unforgotten are sessions that have ended and are still in the store. Guarded by mu.
	unforgotten []string

	work sync.WaitGroup // every goroutine and every creation
	wake chan struct{}  // asks the keeper to look at the leases
	stop chan struct{}  // ends the keeper

	losses  *prometheus.CounterVec // sessions lost, by cause
	guesses guesses                // of ids of sessions
}

// NewSessions returns sessions that have read nothing from the store yet: call [Sessions.Recover]
// before the first request comes. Close them when no call runs any more.
func NewSessions(opts SessionOptions) (*Sessions, error) {
	switch {
	case opts.Driver == nil:
		return nil, errors.New("sessions need a sandbox driver")
	case opts.Store == nil:
		return nil, errors.New("sessions need a store")
	case opts.Runtime == "":
		return nil, errors.New("sessions need a runtime")
	case len(opts.Templates) == 0:
		return nil, errors.New("sessions need a template")
	}
	opts.MaxSessions = cmp.Or(opts.MaxSessions, defaultMaxSessions)
	opts.CreateTimeout = cmp.Or(opts.CreateTimeout, defaultCreateTimeout)
	opts.IdleTimeout = cmp.Or(opts.IdleTimeout, DefaultIdleTimeout)
	opts.MaxLifetime = cmp.Or(opts.MaxLifetime, DefaultMaxLifetime)
	if opts.Audit == nil {
		opts.Audit = noAudit{}
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Accounts == nil {
		opts.Accounts = quota.NewFree()
	}
	if opts.Shared == nil {
		opts.Shared = func() bool { return false }
	}
	s := &Sessions{
		opts: opts,
		base: time.Now(),
		all:  make(map[owned]*session),

		keepers: make(map[owned]string),
		pending: make(map[string]int),
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),

		losses: newLosses(),
	}
	if err := s.limitsFor(nil).Check(opts.Maximum); err != nil {
		return nil, fmt.Errorf("the default limits do not fit the operator's maximum: %w", err)
	}
	s.work.Go(s.keep)
	s.work.Go(s.meter)
	if opts.Workspaces != nil {
		s.work.Go(s.saveUsed)
	}
	return s, nil
}

// SessionCounts says how many sessions there are.
type SessionCounts struct {
	// Running sessions can be used.
	Running int
	// Creating sessions are being made.
	Creating int
	// Lost sessions wait for their callers to learn of it.
	Lost int
}

// Sandbox returns the sandbox of a running session and renews its lease. Where ctx is that of an
// RPC, the lease also cannot run out before that RPC has ended. Only the session's own tenant gets it:
// outside of an RPC nobody does. Errors are RPC errors with a
// detail: InvalidArgument (no id), NotFound, FailedPrecondition (the session is lost).
func (s *Sessions) Sandbox(ctx context.Context, sessionID string) (sandbox.Sandbox, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sess, err := s.usable(principalOf(ctx), sessionID)
	if err != nil {
		return nil, err
	}
	s.renew(sess)
	callFrom(ctx).hold(s, sess)
	return sess.sandbox, nil
}

// usable returns a session that calls can be made in. The caller holds mu.
func (s *Sessions) usable(p *identity.Principal, id string) (*session, error) {
	if id == "" {
		return nil, Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument,
			"Create a session first and name it in session_id.", "session_id is empty")
	}
	sess, err := s.known(p, id)
	if err != nil {
		return nil, err
	}
	if reason := sess.lostBecause(); reason != nil {
		hint := "Everything in it is gone. Delete it and create another session."
		if sess.keeping.Workspace != "" {
			hint = "What was not saved is gone. Delete it and create another session with its workspace."
		}
		return nil, Errorf(connect.CodeFailedPrecondition, ReasonSessionLost, hint, "the session is lost: %s", *reason)
	}
	return sess, nil
}

// known returns a session that somebody may use and that is not ending. The caller holds mu.
func (s *Sessions) known(p *identity.Principal, id string) (*session, error) {
	if err := s.guesses.check(p.ID); err != nil {
		return nil, err
	}
	sess := s.find(p, id)
	if sess == nil {
		s.guesses.miss(p.ID)
	}
	if sess == nil || sess.ending {
		return nil, Errorf(connect.CodeNotFound, ReasonSessionNotFound,
			"It has ended, or its lease ran out. Create another session.", "no such session")
	}
	return sess, nil
}

// find returns a session that somebody may use, nil for none. The caller holds mu.
func (s *Sessions) find(p *identity.Principal, id string) *session {
	if !p.Sees(id) {
		return nil
	}
	return s.all[owned{p.Tenant, id}]
}

// Counts tells how many sessions there are.
func (s *Sessions) Counts() SessionCounts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	counts := SessionCounts{}
	for _, making := range s.pending {
		counts.Creating += making
	}
	for _, sess := range s.all {
		switch {
		case sess.ending:
		case sess.lost.Load() != nil:
			counts.Lost++
		default:
			counts.Running++
		}
	}
	return counts
}
