package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/sandbox"
)

// Bounds of measuring what sandboxes use.
const (
	meterEvery   = 2 * time.Second // a tenant exceeds its limits by what its sandboxes use in this time
	meterTimeout = 2 * time.Second // for one look at one sandbox
	meterAtOnce  = 4
)

// metered is what was seen of a session's use last.
type metered struct {
	mu    sync.Mutex
	known bool          // it was seen; guarded by mu
	use   sandbox.Usage // guarded by mu
	at    time.Time     // guarded by mu
}

// meter charges tenants for what their sandboxes use, as the host counts it, until the end. What runs
// inside has no say in it.
func (s *Sessions) meter() {
	tick := time.NewTicker(meterEvery)
	defer tick.Stop()
	slots := make(chan struct{}, meterAtOnce)
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		var looks sync.WaitGroup
		for _, sess := range s.running() {
			slots <- struct{}{}
			looks.Go(func() {
				defer func() { <-slots }()
				sess.measure()
			})
		}
		looks.Wait()
	}
}

// measure charges the tenant for what was used since the last look. The first look charges nothing, as
// a sandbox comes from a pool and has worked before. A look that fails is made up for by the next.
func (sess *session) measure() {
	meter, ok := sess.sandbox.(sandbox.Meter)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), meterTimeout)
	defer cancel()
	sess.metered.mu.Lock()
	defer sess.metered.mu.Unlock()
	use, err := meter.Usage(ctx)
	if err != nil {
		return
	}
	before, now := &sess.metered, time.Now()
	if before.known {
		sess.account.Charge(quota.CPU, (use.CPU - before.use.CPU).Milliseconds())
		sess.account.Charge(quota.MemoryTime, (before.use.MemoryBytes+use.MemoryBytes)/2/sandbox.MiB*now.Sub(before.at).Milliseconds())
	}
	before.known, before.use, before.at = true, use, now
}

// running returns the sessions that can be used.
func (s *Sessions) running() []*session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*session
	for _, sess := range s.all {
		if !sess.ending && sess.lost.Load() == nil && sess.sandbox != nil {
			all = append(all, sess)
		}
	}
	return all
}
