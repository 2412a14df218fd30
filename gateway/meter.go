package gateway

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/sandbox"
)

// Bounds of measuring what sandboxes use.
const (
	meterEvery   = 500 * time.Millisecond // a tenant exceeds its limits by what its sandboxes use in this time
	meterTimeout = 2 * time.Second        // for one look at one sandbox
	meterAtOnce  = 4
	askEvery     = 2 * time.Second // where the engine must be asked, as its host's files cannot be seen
)

// The weights of sandboxes where processors are short. One that has worked little gets what it wants at
// once; one that works all the time gets a share of its tenant's share, and is kept off a processor while
// another tenant has sandboxes that work little. So a tenant that fills the host with work keeps nobody
// waiting who asks for a moment of it now and then. docs/rationale.md has why weights alone are not enough.
const (
	quietWeight = 8192
	busyWeight  = 512 // of all busy sandboxes of a tenant of weight 1
	leastWeight = 16
	busyFrom    = 0.5              // a sandbox is busy from this part of a processor on
	busyOver    = 1.0              // seconds over which that is averaged: a kernel that starts is not busy yet
	busyFor     = 15 * time.Second // and for so long after, or whoever works in turns would be quiet in between
)

// metered is what was seen of a session's use last.
type metered struct {
	mu    sync.Mutex
	known atomic.Bool   // it was seen; written with mu held
	use   sandbox.Usage // guarded by mu
	at    time.Time     // guarded by mu

	asked  atomic.Bool      // the engine was asked for the last look
	share  sandbox.CPUShare // as the host was told; guarded by mu
	load   float64          // processors, averaged over some time; guarded by mu
	worked time.Time        // when it took more than its part of a processor last; guarded by mu
	busy   atomic.Bool      // that was lately
}

// busyness is how many running sandboxes of a tenant are busy, and how many quiet.
type busyness struct{ busy, quiet int }

// meter charges tenants for what their sandboxes use, as the host counts it, until the end. What runs
// inside has no say in it.
func (s *Sessions) meter() {
	tick := time.NewTicker(meterEvery)
	defer tick.Stop()
	asked := time.Now()
	slots := make(chan struct{}, meterAtOnce)
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		rests := time.Since(asked) < askEvery
		if !rests {
			asked = time.Now()
		}
		var looks sync.WaitGroup
		running := s.running()
		quiet, of := 0, map[*quota.Account]busyness{}
		for _, sess := range running {
			ours := of[sess.account]
			switch {
			case sess.metered.busy.Load():
				ours.busy++
			case sess.metered.known.Load() && sess.hasSandbox(): // others need no processor
				ours.quiet++
				quiet++
			}
			of[sess.account] = ours
		}
		for _, sess := range running {
			if rests && sess.metered.asked.Load() {
				continue
			}
			slots <- struct{}{}
			looks.Go(func() {
				defer func() { <-slots }()
				sess.measure()
				sess.weigh(of[sess.account].busy, quiet > of[sess.account].quiet)
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
	sess.metered.asked.Store(use.Asked)
	before, now := &sess.metered, time.Now()
	if _, deferred := sess.sandbox.(sandbox.Releaser); deferred && !before.known.Load() {
		before.use, before.at = sandbox.Usage{}, now // it counts from the session's first sandbox on
		before.known.Store(true)
	}
	if before.known.Load() {
		if seconds := now.Sub(before.at).Seconds(); seconds > 0 {
			taken := max(0, (use.CPU-before.use.CPU).Seconds()/seconds)
			before.load += (taken - before.load) * (1 - math.Exp(-seconds/busyOver))
		}
		if before.load > busyFrom {
			before.worked = now
		}
		before.busy.Store(now.Sub(before.worked) < busyFor)
		sess.account.Charge(quota.CPU, (use.CPU - before.use.CPU).Milliseconds())
		sess.account.Charge(quota.MemoryTime, (before.use.MemoryBytes+use.MemoryBytes)/2/sandbox.MiB*now.Sub(before.at).Milliseconds())
	}
	before.use, before.at = use, now
	before.known.Store(true)
}

// measureLost charges a sandbox that is gone, and whose counters went with it, as if it had used all the
// processor time that it could since the last look: else whoever has its sandboxes die pays nothing.
func (sess *session) measureLost() {
	sess.metered.mu.Lock()
	defer sess.metered.mu.Unlock()
	if sess.metered.known.Load() {
		since := time.Since(sess.metered.at).Milliseconds()
		sess.account.Charge(quota.CPU, since*int64(sess.spec.Limits.CPUMillis)/1000)
		sess.metered.known.Store(false)
	}
}

// weigh tells the host how the sandbox stands to others: how many of its tenant's are busy, and whether
// another tenant has quiet ones. A host that cannot be told divides its processors evenly among sandboxes.
func (sess *session) weigh(busy int, quietOthers bool) {
	meter, ok := sess.sandbox.(sandbox.Meter)
	if !ok {
		return
	}
	share := sandbox.CPUShare{Weight: quietWeight}
	if sess.metered.busy.Load() {
		share.Weight = max(leastWeight, busyWeight*int(max(1, sess.account.Limits().Weight))/max(1, busy))
		share.Aside = quietOthers
	}
	sess.metered.mu.Lock()
	defer sess.metered.mu.Unlock()
	if sess.metered.known.Load() && share != sess.metered.share && meter.SetCPUShare(share) == nil {
		sess.metered.share = share
	}
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
