package gateway

import (
	"context"
	"time"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/store"
)

// keepEvery is how long renewed leases wait to be written. A gateway that is killed loses so much
// of a lease at most, and a taken-over session starts a fresh one anyway.
const keepEvery = 5 * time.Second

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
