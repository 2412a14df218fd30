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

// admission bounds the calls that are served at once and knows whether the gateway is ending.
type admission struct {
	most int

	mu       sync.Mutex
	running  int           // guarded by mu
	visiting int           // requests to mounts; guarded by mu
	draining bool          // guarded by mu
	idle     chan struct{} // closed when nothing runs while draining; guarded by mu
}

func newAdmission(most int) *admission { return &admission{most: most} }

// enter admits a call or says why not. After nil, leave must be called.
func (a *admission) enter() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return errDraining()
	case a.running >= a.most:
		return Errorf(connect.CodeResourceExhausted, ReasonOverloaded,
			"Try again in a moment, with fewer calls at once.", "the gateway serves %d calls already", a.most)
	default:
		a.running++
		return nil
	}
}

func (a *admission) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
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
	if a.running+a.visiting == 0 && a.idle != nil {
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
	return a.running + a.visiting
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
	if a.running+a.visiting == 0 {
		idle := make(chan struct{})
		close(idle)
		return idle
	}
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	return a.idle
}
