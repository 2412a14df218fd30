package gateway

import (
	"context"
	"fmt"
	"sync"

	"connectrpc.com/connect"
)

// maxListening is how many requests to mounts may be there beyond those that have a call: they listen
// for events, or are between two calls.
const maxListening = 512

// maxProbes is how many calls of the health service may be there. Everybody may make them, without a
// key, so they must not take the places of calls: their bodies may come as slowly as others' do.
const maxProbes = 128

// admission bounds the calls that are served at once and knows whether the gateway is ending.
type admission struct {
	most   int
	shared func() bool // tells whether several tenants may come

	mu       sync.Mutex
	running  int            // guarded by mu
	own      map[string]int // of the running ones, by tenant; guarded by mu
	probing  int            // calls of the health service; guarded by mu
	visiting int            // requests to mounts; guarded by mu
	draining bool           // guarded by mu
	idle     chan struct{}  // closed when nothing runs while draining; guarded by mu
}

func newAdmission(most int, shared func() bool) *admission {
	return &admission{most: most, shared: shared, own: map[string]int{}}
}

// enter admits a call of a tenant or says why not. Where tenants share the gateway, none has more calls
// than it leaves room for: a call is here from its first byte on, long before it waits for its turn, so
// that slow bodies would otherwise keep everybody out. After nil, leave must be called.
func (a *admission) enter(tenant string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return errDraining()
	case a.running >= a.most:
		return Errorf(connect.CodeResourceExhausted, ReasonOverloaded,
			"Try again in a moment, with fewer calls at once.", "the gateway serves %d calls already", a.most)
	case a.shared() && a.own[tenant] >= a.most-a.running:
		return Errorf(connect.CodeResourceExhausted, ReasonOverloaded,
			"Try again in a moment, with fewer calls at once.", "this tenant makes %d calls, and the room that is left is for others", a.own[tenant])
	default:
		a.running++
		a.own[tenant]++
		return nil
	}
}

func (a *admission) leave(tenant string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	if a.own[tenant]--; a.own[tenant] == 0 {
		delete(a.own, tenant)
	}
	a.settle()
}

// probe admits a call of the health service. After nil, probed must be called.
func (a *admission) probe() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return errDraining()
	case a.probing >= maxProbes:
		return Errorf(connect.CodeResourceExhausted, ReasonOverloaded,
			"Try again in a moment, or ask /livez and /readyz.", "the gateway answers %d health checks already", maxProbes)
	default:
		a.probing++
		return nil
	}
}

func (a *admission) probed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.probing--
	a.settle()
}

// visit admits a request to a mount, which is no call: what it does are calls that it makes. Counted
// as calls, as many of them as may run would leave no room for what they wait for. After nil, depart
// must be called.
func (a *admission) visit() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return errDraining()
	case a.visiting >= a.most+maxListening:
		return Errorf(connect.CodeResourceExhausted, ReasonOverloaded,
			"Try again in a moment, with fewer requests at once.", "the gateway serves %d requests already", a.visiting)
	default:
		a.visiting++
		return nil
	}
}

func (a *admission) depart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.visiting--
	a.settle()
}

// settle tells who drains that nothing is left. The caller holds mu.
func (a *admission) settle() {
	if a.running+a.probing+a.visiting == 0 && a.idle != nil {
		close(a.idle)
		a.idle = nil
	}
}

func (a *admission) isDraining() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.draining
}

func (a *admission) calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running
}

// unsettled counts what a drain waits for.
func (a *admission) unsettled() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running + a.probing + a.visiting
}

// drain refuses new calls from now on and waits until none runs or ctx ends.
func (a *admission) drain(ctx context.Context) error {
	idle := a.startDrain()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d calls had not ended: %w", a.unsettled(), ctx.Err())
	}
}

func (a *admission) startDrain() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
	if a.running+a.probing+a.visiting == 0 {
		idle := make(chan struct{})
		close(idle)
		return idle
	}
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	return a.idle
}
