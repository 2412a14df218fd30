package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/identity"
)

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
		s.saveLast(sess)
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if sess.lost.Load() == nil && sess.sandbox != nil {
			sess.measure() // what was used since the last look
		}
		sess.endErr = s.forget(ctx, sess)
		s.letGo(sess)
		sess.release()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, sess.owned())
		close(sess.ended)
	})
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

// discard undoes a session that nobody has heard of yet. The row may have been written although the
// write failed.
func (s *Sessions) discard(sess *session) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.forget(ctx, sess) // it is logged
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
