package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/sandbox"
)

// Bounds of the work that sessions cause.
const (
	defaultMaxSessions   = 256
	defaultCreateTimeout = 2 * time.Minute
	closeTimeout         = 30 * time.Second // for ending one sandbox; the engine's reaper does the rest
	storeTimeout         = 10 * time.Second // for one write that no caller waits for
	firstRetry           = 20 * time.Millisecond
	maxLost              = 1024 // lost sessions that are remembered
	maxReason            = 300  // bytes of a reason that callers see
)

// lease says how long a session lives.
type lease struct {
	idle     time.Duration
	lifetime time.Duration
}

// wish says what session somebody wants.
type wish struct {
	tenant    string
	spec      sandbox.Spec
	lease     lease
	metadata  map[string]string
	workspace string // that its files begin with; empty: with none
	keeping   keeping
}

// create makes a session. When it returns one, the session survives a crash of the gateway.
func (s *Sessions) create(ctx context.Context, want wish) (*session, error) {
	if s.opts.Allow != nil {
		if err := s.opts.Allow(want.tenant); err != nil {
			return nil, err
		}
	}
	id := newSessionID()
	if err := s.claim(want.tenant, id, want.keeping.Workspace); err != nil {
		return nil, err
	}
	sess, err := s.begin(ctx, id, want)
	if err != nil {
		s.disclaim(want.tenant, id, want.keeping.Workspace)
	}
	return sess, err
}

// begin makes the sandbox of a session, and the session.
func (s *Sessions) begin(ctx context.Context, id string, want wish) (*session, error) {
	account, err := s.reserve(want.tenant, want.spec.Limits)
	if err != nil {
		return nil, err
	}
	defer s.work.Done()
	box, err := s.makeSandbox(ctx, want.spec)
	if err == nil {
		if err = s.fill(ctx, box, want); err != nil {
			s.closeUnused(box)
		}
	}
	if err != nil {
		s.unreserve(want.tenant)
		release(account, want.spec.Limits)
		return nil, err
	}
	failpoint.Reach(failpoint.SessionTaken)
	sess := s.newSession(id, want, box, account)
	if err := s.persist(ctx, sess); err != nil {
		s.unreserve(want.tenant)
		s.discard(sess)
		sess.release()
		return nil, stateUnavailable(ctx,
			"Nothing was made. Try again later: the operator must make room, or bring the database back. Sessions that run are not affected.", err)
	}
	failpoint.Reach(failpoint.SessionKept)
	s.note(audit.SessionCreate, sess, principalOf(ctx).ID, "")
	if !s.adopt(sess) {
		return nil, errDraining()
	}
	s.nudge()
	return sess, nil
}

// newSession returns a session that nobody knows yet.
func (s *Sessions) newSession(id string, want wish, box sandbox.Sandbox, account *quota.Account) *session {
	now := time.Now()
	sess := &session{
		id:         id,
		tenant:     want.tenant,
		sandboxID:  box.ID(),
		sandbox:    box,
		spec:       want.spec,
		metadata:   maps.Clone(want.metadata),
		created:    now,
		hardExpiry: now.Add(want.lease.lifetime),
		keeping:    want.keeping,
		account:    account,
		leave:      make(chan struct{}),
		ended:      make(chan struct{}),
	}
	sess.idleTimeout.Store(int64(want.lease.idle))
	sess.renewed.Store(int64(now.Sub(s.base)))
	if name := want.keeping.Workspace; name != "" && name == want.workspace {
		s.noteSaved(sess)
	}
	return sess
}

// closeUnused closes a sandbox that no session has.
func (s *Sessions) closeUnused(box sandbox.Sandbox) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := box.Close(ctx); err != nil {
		s.opts.Logger.Error("cannot close a sandbox", "sandbox", box.ID(), "err", err)
	}
}

// makeSandbox asks the driver for a sandbox and maps its errors.
func (s *Sessions) makeSandbox(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	within, cancel := context.WithTimeout(ctx, s.opts.CreateTimeout)
	defer cancel()
	box, err := s.opts.Driver.Create(within, spec)
	switch {
	case err == nil:
		return box, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, sandbox.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded):
		return nil, engineUnavailable(err)
	default:
		return nil, fmt.Errorf("make a sandbox: %w", err)
	}
}

// persist writes a new session to the store.
func (s *Sessions) persist(ctx context.Context, sess *session) error {
	row, err := s.row(sess)
	if err != nil {
		return err
	}
	return s.opts.Store.Put(ctx, row)
}

// adopt lists a session, in the place that was reserved for it, and watches its sandbox. It returns
// false where all sessions were closed in the meantime, and this one with them.
func (s *Sessions) adopt(sess *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.madeLocked(sess.tenant)
	s.all[sess.owned()] = sess
	if s.closed {
		s.endLocked(sess, endStopped)
		return false
	}
	s.work.Go(func() { s.watch(sess) })
	return true
}

// watch waits for the end of a session or of its sandbox, whichever comes first.
func (s *Sessions) watch(sess *session) {
	s.work.Go(func() {
		sess.measure()
		sess.weigh(0, false)
	})
	select {
	case <-sess.leave:
		return
	case <-sess.sandbox.Done():
	}
	s.noteSaved(sess)
	s.lose(sess, causeOfLoss(sess.sandbox.Err()), sess.withSaved(endOf(sess.sandbox)))
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := sess.sandbox.Close(ctx); err != nil {
		s.opts.Logger.Error("cannot close a lost sandbox", "session", shown(sess.id), "sandbox", sess.sandboxID, "err", err)
	}
}
