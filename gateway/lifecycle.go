package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/identity"
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
	return s, nil
}

// create makes a session. When it returns one, the session survives a crash of the gateway.
func (s *Sessions) create(ctx context.Context, tenant string, spec sandbox.Spec, lease lease, metadata map[string]string) (*session, error) {
	if s.opts.Allow != nil {
		if err := s.opts.Allow(tenant); err != nil {
			return nil, err
		}
	}
	account, err := s.reserve(tenant, spec.Limits)
	if err != nil {
		return nil, err
	}
	defer s.work.Done()
	box, err := s.makeSandbox(ctx, spec)
	if err != nil {
		s.unreserve(tenant)
		release(account, spec.Limits)
		return nil, err
	}
	failpoint.Reach(failpoint.SessionTaken)
	now := time.Now()
	sess := &session{
		id:         newSessionID(),
		tenant:     tenant,
		sandboxID:  box.ID(),
		sandbox:    box,
		spec:       spec,
		metadata:   maps.Clone(metadata),
		created:    now,
		hardExpiry: now.Add(lease.lifetime),
		account:    account,
		leave:      make(chan struct{}),
		ended:      make(chan struct{}),
	}
	sess.idleTimeout.Store(int64(lease.idle))
	sess.renewed.Store(int64(now.Sub(s.base)))
	if err := s.persist(ctx, sess); err != nil {
		s.unreserve(tenant)
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

// discard undoes a session that nobody has heard of yet. The row may have been written although the
// write failed.
func (s *Sessions) discard(sess *session) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.forget(ctx, sess) // it is logged
}

// forget removes the row, then the sandbox. In this order a crash in between leaves a sandbox
// without a session, which the next start removes, and never a session that was deleted before. Its
// error is that of a row that stays for now, which the keeper removes when it can: a gateway that
// comes before that would show the session, as a lost one.
func (s *Sessions) forget(ctx context.Context, sess *session) error {
	failpoint.Reach(failpoint.DeleteBegin)
	err := s.opts.Store.Delete(ctx, sess.id)
	failpoint.Reach(failpoint.DeleteForgotten)
	if sess.sandbox != nil {
		if err := sess.sandbox.Close(ctx); err != nil {
			s.opts.Logger.Error("cannot close a sandbox", "session", shown(sess.id), "sandbox", sess.sandboxID, "err", err)
		}
		failpoint.Reach(failpoint.DeleteClosed)
	}
	if err != nil {
		err = s.forgetAgain(sess)
	}
	return err
}

// forgetAgain removes the row of a session after the store has failed, for as long as one write may take.
func (s *Sessions) forgetAgain(sess *session) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	for wait := firstRetry; ; wait *= 2 {
		err := s.opts.Store.Delete(ctx, sess.id)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			s.opts.Logger.Error("cannot forget a session; it is tried again", "session", shown(sess.id), "err", err)
			s.mu.Lock()
			s.unforgotten = append(s.unforgotten, sess.id)
			s.mu.Unlock()
			return fmt.Errorf("forget a session: %w", err)
		}
	}
}

// end begins the end of a session, or joins one that has begun.
func (s *Sessions) end(p *identity.Principal, id string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.find(p, id); sess != nil && sess.ending {
		return sess, nil
	}
	sess, err := s.known(p, id)
	if err != nil {
		return nil, err
	}
	s.endLocked(sess, endDeleted)
	return sess, nil
}

// Why sessions end, as the audit log says it.
const (
	endDeleted   = "deleted"   // by a caller
	endExpired   = "expired"   // nobody used it, or its time was up
	endStopped   = "stopped"   // the gateway ended
	endForgotten = "forgotten" // it was lost, and there are too many of those
)

// endLocked begins the end of a session that has not begun to end. The caller holds mu.
func (s *Sessions) endLocked(sess *session, reason string) {
	s.note(audit.SessionEnd, sess, "", reason)
	sess.ending = true
	close(sess.leave)
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if sess.lost.Load() == nil && sess.sandbox != nil {
			sess.measure() // what was used since the last look
		}
		sess.endErr = s.forget(ctx, sess)
		sess.release()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, sess.owned())
		close(sess.ended)
	})
}

// watch waits for the end of a session or of its sandbox, whichever comes first.
func (s *Sessions) watch(sess *session) {
	s.work.Go(func() {
		sess.measure()
		sess.weigh(0)
	})
	select {
	case <-sess.leave:
		return
	case <-sess.sandbox.Done():
	}
	s.lose(sess, causeOfLoss(sess.sandbox.Err()), endOf(sess.sandbox))
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := sess.sandbox.Close(ctx); err != nil {
		s.opts.Logger.Error("cannot close a lost sandbox", "session", shown(sess.id), "sandbox", sess.sandboxID, "err", err)
	}
}

// lose marks a session as lost, unless it is ending anyway. Its lease runs out from now on. The cause
// is what is counted, the reason what callers are told.
func (s *Sessions) lose(sess *session, cause, reason string) {
	if !s.markLost(sess, reason) {
		return
	}
	sess.measureLost()
	sess.release() // nothing is left of it but what its tenant is told
	s.losses.WithLabelValues(cause).Inc()
	s.note(audit.SessionLost, sess, "", cause)
	s.opts.Logger.Warn("a session is lost", "session", shown(sess.id), "sandbox", sess.sandboxID, "reason", reason)
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := s.opts.Store.Lose(ctx, sess.id, reason); err != nil {
		s.opts.Logger.Error("cannot keep that a session is lost", "session", shown(sess.id), "err", err)
	}
}
