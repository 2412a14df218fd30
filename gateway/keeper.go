package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/store"
	"github.com/sandgate/sandgate/sandbox"
)

// keepEvery is how long renewed leases wait to be written. A gateway that is killed loses so much
// of a lease at most, and a taken-over session starts a fresh one anyway.
const keepEvery = 5 * time.Second

// goneReason is why a session is lost whose sandbox nobody found again.
const goneReason = "the gateway was restarted and its sandbox was gone"

// keep ends the sessions whose leases run out and writes renewed leases, until the end.
func (s *Sessions) keep() {
	timer := time.NewTimer(keepEvery)
	defer timer.Stop()
	lastFlush := time.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
		case <-timer.C:
		}
		next := s.sweep()
		now := time.Now()
		if now.Sub(lastFlush) >= keepEvery {
			s.flush()
			lastFlush = now
		}
		timer.Reset(min(keepEvery, max(0, next.Sub(now))))
	}
}

// nudge has the keeper look at the leases now.
func (s *Sessions) nudge() {
	select {
	case s.wake <- struct{}{}:
	default: // it was asked already
	}
}

// sweep ends every session whose lease has run out and tells when the next one will. It decides
// under the lock that calls take to get a sandbox, so that no call gets one that is about to go.
func (s *Sessions) sweep() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	next := now.Add(keepEvery)
	for _, sess := range s.all {
		if sess.ending {
			continue
		}
		expiry := s.expiry(sess, now)
		if !expiry.After(now) {
			s.opts.Logger.Info("a session has run out", "session", shown(sess.id))
			s.endLocked(sess, endExpired)
			continue
		}
		if expiry.Before(next) {
			next = expiry
		}
	}
	return next
}

// flush writes the leases that were renewed since the last time, and what could not be written then.
func (s *Sessions) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	s.forgetRest(ctx)
	renewed, leases := s.renewedLeases()
	if len(leases) == 0 {
		return
	}
	failpoint.Reach(failpoint.LeaseFlush)
	if err := s.opts.Store.Renew(ctx, leases); err != nil {
		s.opts.Logger.Error("cannot write renewed leases", "sessions", len(leases), "err", err)
		for _, sess := range renewed {
			sess.dirty.Store(true)
		}
	}
	failpoint.Reach(failpoint.LeaseFlushed)
}

func (s *Sessions) renewedLeases() (renewed []*session, leases []store.Lease) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := time.Now()
	for _, sess := range s.all {
		if !sess.ending && (sess.dirty.Swap(false) || sess.active.Load() > 0) {
			renewed = append(renewed, sess)
			leases = append(leases, store.Lease{
				ID: sess.id, IdleTimeout: time.Duration(sess.idleTimeout.Load()), IdleExpiresAt: s.idleExpiry(sess, now),
			})
		}
	}
	return renewed, leases
}

// forgetRest removes the rows of sessions that ended while the store took no writes. They would come back
// as lost ones at the next start.
func (s *Sessions) forgetRest(ctx context.Context) {
	s.mu.Lock()
	rest := s.unforgotten
	s.unforgotten = nil
	s.mu.Unlock()
	for i, id := range rest {
		if err := s.opts.Store.Delete(ctx, id); err != nil {
			s.mu.Lock()
			s.unforgotten = append(s.unforgotten, rest[i:]...)
			s.mu.Unlock()
			return
		}
	}
}

// markLost makes a session a lost one unless it is ending or lost already. The oldest lost session
// is forgotten when there are too many of them.
func (s *Sessions) markLost(sess *session, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess.ending || sess.lost.Load() != nil {
		return false
	}
	sess.renewed.Store(int64(time.Since(s.base)))
	sess.dirty.Store(true)
	sess.lost.Store(&reason)
	var oldest *session
	lost := 0
	for _, other := range s.all {
		if other.lost.Load() == nil || other.ending {
			continue
		}
		lost++
		if oldest == nil || placeOf(other).compare(placeOf(oldest)) < 0 {
			oldest = other
		}
	}
	if lost > maxLost {
		s.endLocked(oldest, endForgotten)
	}
	return true
}

// Recover takes over the sessions of a gateway that was killed. It is called once, before the first
// request. reconcile is given a function that tells whether a sandbox still has a session; it
// removes all other sandboxes of this gateway and returns those it kept, ready for use. A session
// whose sandbox is among them goes on under its id with a fresh lease, as nobody could renew it
// while the gateway was down; any other session is lost.
func (s *Sessions) Recover(ctx context.Context, reconcile func(keep func(sandboxID string) bool) ([]sandbox.Sandbox, error)) error {
	rows, err := s.opts.Store.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("recover sessions: %w", err)
	}
	now := time.Now()
	wanted := make(map[string]*session) // by sandbox
	var all []*session
	for _, row := range rows {
		sess, err := s.fromRow(row, now)
		if err != nil {
			return fmt.Errorf("recover sessions: %w", err)
		}
		all = append(all, sess)
		if sess.lost.Load() == nil && sess.hardExpiry.After(now) {
			wanted[sess.sandboxID] = sess
		}
	}
	if err := failpoint.Fail(failpoint.StartFound); err != nil {
		return err
	}
	boxes, err := reconcile(func(sandboxID string) bool { return wanted[sandboxID] != nil })
	failpoint.Reach(failpoint.StartSettled)
	if errors.Is(err, sandbox.ErrUnavailable) {
		return errors.Join(fmt.Errorf("reconcile sandboxes: %w", err), closeAll(boxes))
	}
	if err != nil { // what was kept is good; the rest is left to whoever sweeps
		s.opts.Logger.Warn("some sandboxes could not be removed", "err", err)
	}
	var strays []sandbox.Sandbox
	for _, box := range boxes {
		if sess := wanted[box.ID()]; sess != nil && sess.sandbox == nil {
			sess.sandbox = box
		} else {
			strays = append(strays, box)
		}
	}
	s.resume(all)
	return closeAll(strays)
}

// resume lists the sessions of the gateway before.
func (s *Sessions) resume(all []*session) {
	for _, sess := range all {
		sess.account = s.opts.Accounts.Account(sess.tenant)
		if sess.lost.Load() == nil {
			hold(sess.account, sess.spec.Limits) // it is there, whatever the limits are now
		} else {
			sess.released.Store(true)
		}
		s.mu.Lock()
		s.all[sess.owned()] = sess
		s.mu.Unlock()
		if sess.sandbox == nil {
			s.lose(sess, lostRestart, goneReason)
			continue
		}
		s.renew(sess)
		s.work.Go(func() { s.watch(sess) })
	}
	s.nudge()
}

// closeAll closes sandboxes that no session wants.
func closeAll(boxes []sandbox.Sandbox) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	for _, box := range boxes {
		errs = append(errs, box.Close(ctx))
	}
	return errors.Join(errs...)
}

// Close ends every session: sandboxes are closed and rows removed, so that nothing is left behind.
// It waits until that is done or ctx ends. No session can be made afterwards.
func (s *Sessions) Close(ctx context.Context) error {
	failpoint.Reach(failpoint.DrainCalls)
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
		for _, sess := range s.all {
			if !sess.ending {
				s.endLocked(sess, endStopped)
			}
		}
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		failpoint.Reach(failpoint.DrainSessions)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end all sessions: %w", ctx.Err())
	}
}

// errDraining is what new work gets while the gateway ends.
func errDraining() error {
	return Errorf(connect.CodeUnavailable, ReasonDraining, "Try again at another gateway, or when it is back.", "the gateway is shutting down")
}
