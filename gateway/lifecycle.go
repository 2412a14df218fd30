package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/identity"
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
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	s := &Sessions{
		opts: opts,
		base: time.Now(),
		all:  make(map[owned]*session),
		wake: make(chan struct{}, 1),
		stop: make(chan struct{}),

		losses: newLosses(),
	}
	if err := s.limitsFor(nil).Check(opts.Maximum); err != nil {
		return nil, fmt.Errorf("the default limits do not fit the operator's maximum: %w", err)
	}
	s.work.Go(s.keep)
	return s, nil
}

// create makes a session. When it returns one, the session survives a crash of the gateway.
func (s *Sessions) create(ctx context.Context, tenant string, spec sandbox.Spec, lease lease, metadata map[string]string) (*session, error) {
	if s.opts.Allow != nil {
		if err := s.opts.Allow(tenant); err != nil {
			return nil, err
		}
	}
	if err := s.reserve(); err != nil {
		return nil, err
	}
	defer s.work.Done()
	box, err := s.makeSandbox(ctx, spec)
	if err != nil {
		s.unreserve()
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
		leave:      make(chan struct{}),
		ended:      make(chan struct{}),
	}
	sess.idleTimeout.Store(int64(lease.idle))
	sess.renewed.Store(int64(now.Sub(s.base)))
	if err := s.persist(ctx, sess); err != nil {
		s.unreserve()
		s.discard(sess)
		return nil, err
	}
	failpoint.Reach(failpoint.SessionKept)
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
		return nil, Error(connect.CodeUnavailable, ReasonEngineUnavailable,
			"Try again in a few seconds.", &hiddenError{text: "no sandbox could be made: the engine does not answer or has no room", cause: err})
	default:
		return nil, fmt.Errorf("make a sandbox: %w", err)
	}
}

// reserve counts a session that is about to be made, so that two cannot share the last place.
func (s *Sessions) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errDraining()
	}
	running := s.pending
	for _, sess := range s.all {
		if sess.lost.Load() == nil {
			running++
		}
	}
	if running >= s.opts.MaxSessions {
		return Errorf(connect.CodeResourceExhausted, ReasonTooManySessions,
			"Delete a session that is no longer needed, or try again later.",
			"this gateway runs at most %d sessions at once", s.opts.MaxSessions)
	}
	s.pending++
	s.work.Add(1)
	return nil
}

func (s *Sessions) unreserve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending--
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
	s.pending--
	s.all[sess.owned()] = sess
	if s.closed {
		s.endLocked(sess)
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
// error is that of a row that stays: a later gateway would show the session, as a lost one.
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
			s.opts.Logger.Error("cannot forget a session", "session", shown(sess.id), "err", err)
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
	s.endLocked(sess)
	return sess, nil
}

// endLocked begins the end of a session that has not begun to end. The caller holds mu.
func (s *Sessions) endLocked(sess *session) {
	sess.ending = true
	close(sess.leave)
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		sess.endErr = s.forget(ctx, sess)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, sess.owned())
		close(sess.ended)
	})
}

// watch waits for the end of a session or of its sandbox, whichever comes first.
func (s *Sessions) watch(sess *session) {
	select {
	case <-sess.leave:
		return
	case <-sess.sandbox.Done():
	}
	reason, err := "its sandbox ended", sess.sandbox.Err()
	if err != nil {
		reason = err.Error()
	}
	s.lose(sess, causeOfLoss(err), reason)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := sess.sandbox.Close(ctx); err != nil {
		s.opts.Logger.Error("cannot close a lost sandbox", "session", shown(sess.id), "sandbox", sess.sandboxID, "err", err)
	}
}

// lose marks a session as lost, unless it is ending anyway. Its lease runs out from now on. The cause
// is what is counted, the reason what callers are told.
func (s *Sessions) lose(sess *session, cause, reason string) {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if !s.markLost(sess, reason) {
		return
	}
	s.losses.WithLabelValues(cause).Inc()
	s.opts.Logger.Warn("a session is lost", "session", shown(sess.id), "sandbox", sess.sandboxID, "reason", reason)
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := s.opts.Store.Lose(ctx, sess.id, reason); err != nil {
		s.opts.Logger.Error("cannot keep that a session is lost", "session", shown(sess.id), "err", err)
	}
}
