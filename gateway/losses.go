package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/sandbox"
)

// The causes of lost sessions that are counted apart.
const (
	lostMemory  = "memory"  // the host ended the sandbox, which was out of memory
	lostClosed  = "closed"  // the gateway ended it, as it did not obey
	lostRestart = "restart" // it was gone when this gateway took over
	lostDied    = "died"    // everything else: its guest, its engine
)

func newLosses() *prometheus.CounterVec {
	losses := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sandgate_sessions_lost_total", Help: "Sessions whose sandbox ended before they did, by cause.",
	}, []string{"cause"})
	for _, cause := range []string{lostMemory, lostClosed, lostRestart, lostDied} {
		losses.WithLabelValues(cause) // so that the first loss is an increase
	}
	return losses
}

// causeOfLoss tells why a sandbox ended.
func causeOfLoss(err error) string {
	switch {
	case errors.Is(err, sandbox.ErrMemory):
		return lostMemory
	case errors.Is(err, sandbox.ErrClosed):
		return lostClosed
	default:
		return lostDied
	}
}

// lose marks a session as lost, unless it is ending anyway. Its lease runs out from now on. The cause
// is what is counted, the reason what callers are told.
func (s *Sessions) lose(sess *session, cause, reason string) {
	if !s.markLost(sess, reason) {
		return
	}
	sess.measureLost()
	s.letGo(sess)
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
