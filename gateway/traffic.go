package gateway

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

const (
	// maxTrafficTenants bounds the tenants that are counted apart. Calls of others are counted with all.
	maxTrafficTenants = 4096
	// spanBuckets are enough for a call of twelve days, four for every doubling.
	spanBuckets = 160
)

// traffic counts the calls that work in sessions, where every call passes once, whichever way it came.
type traffic struct {
	all   counts
	spans [spanBuckets]atomic.Uint64 // of calls of tools, by how long they took

	mu      sync.RWMutex
	tenants map[string]*counts // guarded by mu
}

// counts are calls that have ended, and those of them that failed.
type counts struct{ ended, failed atomic.Uint64 }

func (c *counts) add(failed bool) {
	c.ended.Add(1)
	if failed {
		c.failed.Add(1)
	}
}

func newTraffic() *traffic { return &traffic{tenants: make(map[string]*counts)} }

// begin counts a call of an RPC as one that runs. What it returns is deferred: it reads how the call
// ended.
func (t *traffic) begin(ctx context.Context, e *rpc) func(err *error) {
	if !e.works {
		return func(*error) {}
	}
	start := time.Now()
	e.running.Add(1)
	return func(err *error) {
		e.running.Add(-1)
		failed := *err != nil && connect.CodeOf(wireError(*err)) != connect.CodeCanceled
		t.all.add(failed)
		if tenant := t.of(principalOf(ctx).Tenant); tenant != nil {
			tenant.add(failed)
		}
		if e.tool != "" {
			t.spans[spanBucket(time.Since(start))].Add(1)
		}
	}
}

// of returns the counts of a tenant, nil where they are kept of too many.
func (t *traffic) of(tenant string) *counts {
	t.mu.RLock()
	found := t.tenants[tenant]
	t.mu.RUnlock()
	if found != nil {
		return found
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tenants[tenant] == nil && len(t.tenants) < maxTrafficTenants {
		t.tenants[tenant] = &counts{}
	}
	return t.tenants[tenant]
}

// tally is what was counted up to one moment.
type tally struct {
	at      time.Time
	all     counted
	tenants map[string]counted
	spans   [spanBuckets]uint64
}

// counted is a number of calls, and how many of them failed.
type counted struct{ ended, failed uint64 }

func (c *counts) read() counted { return counted{c.ended.Load(), c.failed.Load()} }

func (c counted) since(before counted) counted {
	return counted{c.ended - before.ended, c.failed - before.failed}
}

// perSecond returns calls and failures a second.
func (c counted) perSecond(window time.Duration) (calls, failures float64) {
	return float64(c.ended) / window.Seconds(), float64(c.failed) / window.Seconds()
}

// read returns what was counted so far.
func (t *traffic) read() *tally {
	out := &tally{at: time.Now(), all: t.all.read(), tenants: map[string]counted{}}
	for i := range t.spans {
		out.spans[i] = t.spans[i].Load()
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for name, tenant := range t.tenants {
		out.tenants[name] = tenant.read()
	}
	return out
}

// spanBucket returns the bucket of a length of time.
func spanBucket(d time.Duration) int {
	micros := uint64(max(d.Microseconds(), 1))
	doublings := bits.Len64(micros) - 1
	return min(4*doublings+int(micros<<2>>doublings)&3, spanBuckets-1)
}

// spanBound returns what no time in a bucket exceeds.
func spanBound(bucket int) time.Duration {
	return time.Duration(uint64(5+bucket&3)<<(bucket>>2)) * time.Microsecond / 4
}

// quantile returns how long the given part of the calls between two tallies took at most, zero where
// there were none.
func (t *tally) quantile(before *tally, part float64) time.Duration {
	var total, below uint64
	for i := range t.spans {
		total += t.spans[i] - before.spans[i]
	}
	if total == 0 {
		return 0
	}
	for i := range t.spans {
		below += t.spans[i] - before.spans[i]
		if float64(below) >= part*float64(total) {
			return spanBound(i)
		}
	}
	return spanBound(spanBuckets - 1)
}
