package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sandgate/sandgate/bench/rig"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The size of the load: it fits on a small machine, and has several clients in each session.
const (
	pool         = 2
	tenants      = 2
	slotsEach    = 2 // sessions of a tenant at a time
	workersEach  = 2 // clients in a session
	longestWork  = 60 * time.Millisecond
	afterFailure = 10 * time.Millisecond // a client that was refused does not ask again at once
)

// slot is a place for one session, which some clients share.
type slot struct {
	client *rig.Client

	mu      sync.Mutex
	session *session // nil: whoever comes makes one; guarded by mu
}

// load is what the clients do until they are stopped.
type load struct {
	ledger *ledger
	churn  int
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// startLoad lets clients work in slots. Stop it.
func startLoad(ctx context.Context, book *ledger, slots []*slot, churn int) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{ledger: book, churn: churn, cancel: cancel}
	for _, s := range slots {
		for range workersEach {
			l.work.Go(func() {
				for ctx.Err() == nil {
					if err := l.step(ctx, s); err != nil {
						pause(ctx, afterFailure)
					}
				}
			})
		}
	}
	return l
}

// stop ends the load. What was sent and not answered is left open.
func (l *load) stop() {
	l.cancel()
	l.work.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// step is one thing that a client does. Its error says nothing of the gateway, which may be dead.
func (l *load) step(ctx context.Context, s *slot) error {
	session, err := l.take(ctx, s)
	if err != nil {
		return err
	}
	pause, n := rand.N(longestWork), rand.IntN(100) //nolint:gosec // nothing is hidden by them
	work := worker{client: s.client, session: session, ledger: l.ledger, id: newID(), pause: pause}
	switch {
	case n < l.churn:
		return l.end(ctx, s, session)
	case n < 35:
		return work.pythonOnce(ctx)
	case n < 60:
		return work.shellOnce(ctx)
	case n < 70:
		return work.writeOnce(ctx)
	case n < 80:
		return work.python(ctx)
	case n < 87:
		return work.shell(ctx)
	case n < 95:
		return work.write(ctx)
	default:
		_, _, err := s.client.Running(ctx)
		return err
	}
}

// take returns the session of a slot, and makes one where there is none.
func (l *load) take(ctx context.Context, s *slot) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		return s.session, nil
	}
	reply, err := s.client.Sessions.CreateSession(ctx, &sandgatev1.CreateSessionRequest{Template: "python", Limits: rig.Small()})
	if err != nil {
		return nil, err
	}
	s.session = l.ledger.created(s.client, reply.GetSession().GetId())
	return s.session, nil
}

// end deletes a session, unless another client does.
func (l *load) end(ctx context.Context, s *slot, old *session) error {
	s.mu.Lock()
	mine := s.session == old
	if mine {
		s.session = nil
	}
	s.mu.Unlock()
	if !mine {
		return nil
	}
	old.end(false)
	_, err := s.client.Sessions.DeleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: old.id})
	if err == nil {
		old.end(true)
	}
	return err
}

// forget makes a slot without a session of one whose session has ended.
func (s *slot) forget(old *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == old {
		s.session = nil
	}
}

// newID returns a name for a call.
func newID() string { return fmt.Sprintf("c%016x", rand.Uint64()) } //nolint:gosec // unique, not secret

// errNotWell is that of work which did not end well.
var errNotWell = errors.New("the work did not end well")
