package snapshot

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// atOnce bounds the copies that are made, read or compared at a time: each reads or writes as fast as it can.
	atOnce = 32
	// comparing bounds those of them that hold the names of all files in memory.
	comparing = 4
	// atOnceEach bounds those of one tenant, whose sandboxes may take as long as they are given.
	atOnceEach = 2
	// patience is how long one may take, besides what its bytes take at the slowest pace that is waited for.
	patience = time.Minute
	slowest  = 8 << 20 // bytes a second
)

// turn lets so many at a time work on something.
type turn struct {
	free    chan struct{} // holds a value for each that may begin
	waiting int           // those that work and those that wait; guarded by Store.mu
}

// enter waits for one of the places to work on something. Leave must be called.
func (s *Store) enter(ctx context.Context, g group, places int) (leave func(), err error) {
	s.mu.Lock()
	t := s.turns[g]
	if t == nil {
		t = &turn{free: make(chan struct{}, places)}
		for range places {
			t.free <- struct{}{}
		}
		s.turns[g] = t
	}
	t.waiting++
	s.mu.Unlock()
	done := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(s.turns, g)
		}
	}
	select {
	case <-t.free:
		return func() {
			t.free <- struct{}{}
			done()
		}, nil
	case <-ctx.Done():
		done()
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
}

// alone waits until nobody else works on a session's files.
func (s *Store) alone(ctx context.Context, g group) (leave func(), err error) {
	return s.enter(ctx, g, 1)
}

// sizeLimit is how large an archive of a sandbox's files can be, if it does not lie.
func sizeLimit(sb sandbox.Sandbox) int64 {
	limits := sb.Spec().Limits.WithDefaults()
	return limits.WorkspaceBytes + entryRoom*int64(limits.WorkspaceFiles+1)
}

// work does what reads or writes the files of a tenant's sandbox, when there is a place for it, and ends it when it
// takes too long: a sandbox that lies must not keep others from theirs. What it asks of the sandbox is not taken up
// by another gateway.
func (s *Store) work(ctx context.Context, tenant string, sb sandbox.Sandbox, do func(ctx context.Context) error) error {
	leave, err := s.enter(ctx, group{tenant: tenant}, atOnceEach)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return guestrpc.CallerLeft(err)
	}
	defer s.slots.Release(1)
	within, cancel := context.WithTimeout(sandbox.WithDurable(ctx, nil), patience+time.Duration(sizeLimit(sb)/slowest)*time.Second)
	defer cancel()
	go func() {
		select {
		case <-sb.Done():
			cancel()
		case <-within.Done():
		}
	}()
	err = do(within)
	select {
	case <-sb.Done():
		if err != nil {
			return guestrpc.SessionLost(sb)
		}
	default:
	}
	end, _ := within.Deadline()
	late := within.Err() != nil || (connect.CodeOf(err) == connect.CodeDeadlineExceeded && time.Until(end) < time.Second) // whose clock was first
	if err != nil && late && ctx.Err() == nil {
		return guestrpc.NewError(connect.CodeDeadlineExceeded, errors.New("the sandbox takes too long to give or take its files"),
			"SANDBOX_SLOW", "Stop what keeps the session busy, and try again.")
	}
	return err
}

// compare is work that holds the names of all files in memory.
func (s *Store) compare(ctx context.Context, tenant string, sb sandbox.Sandbox, do func(ctx context.Context) error) error {
	return s.work(ctx, tenant, sb, func(ctx context.Context) error {
		if err := s.compares.Acquire(ctx, 1); err != nil {
			return guestrpc.CallerLeft(err)
		}
		defer s.compares.Release(1)
		return do(ctx)
	})
}
