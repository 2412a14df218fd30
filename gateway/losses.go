package gateway

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

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
