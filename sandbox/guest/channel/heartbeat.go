package channel

import (
	"sync/atomic"
	"time"
)

// heartbeat remembers when a holder was last heard of, on the monotonic clock: a jump of the
// host's wall clock must not orphan every sandbox.
type heartbeat struct {
	base time.Time
	last atomic.Int64 // nanoseconds since base
}

func newHeartbeat() *heartbeat { return &heartbeat{base: time.Now()} }

func (h *heartbeat) beat() { h.last.Store(int64(time.Since(h.base))) }

func (h *heartbeat) idle() time.Duration { return time.Since(h.base) - time.Duration(h.last.Load()) }
