package guest

import (
	"context"
	"sync"
	"time"
)

// spares are kernels that nobody uses yet: a fork made in a quiet moment. Where forking is slow, as
// with numpy and pandas in memory and all the more under gVisor, they are what makes a new context
// quick. They are held: root's, and out of the user's reach, until somebody gets them.
type spares struct {
	guest *Guest

	mu      sync.Mutex
	ready   []*kernel // guarded by mu
	filling bool      // guarded by mu
	closed  bool      // guarded by mu
	touched time.Time // when a kernel was last asked for; guarded by mu
}

// quiet is how long nobody must have asked for a kernel before spares are made: whoever needs one
// now comes first.
const quiet = 20 * time.Millisecond

// kernel returns a kernel that has run nothing: a spare if there is one, or a new one.
func (s *spares) kernel(ctx context.Context, cwd string) (*kernel, error) {
	defer s.refill()
	s.guest.unlockHome(ctx)
	for {
		k := s.take()
		if k == nil {
			return s.guest.startKernel(ctx, cwd, false)
		}
		if k.alive() && k.enter(cwd) == nil {
			return k, nil
		}
		k.close()
	}
}

// take returns the oldest spare, nil where there is none.
func (s *spares) take() *kernel {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return nil
	}
	k := s.ready[0]
	s.ready = s.ready[1:]
	return k
}

// refill begins to make spares, unless that goes on. It is called when somebody has got a kernel.
func (s *spares) refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touched = time.Now()
	if len(s.ready) < s.guest.cfg.Spares && !s.filling && !s.closed {
		s.filling = true
		s.guest.background.Go(s.fill)
	}
}

// fill makes spares in quiet moments until there are enough. It gives up when one cannot be made:
// then memory or processes are short, and those who ask come first.
func (s *spares) fill() {
	for more := true; more; {
		s.awaitQuiet()
		k, err := s.guest.startKernel(s.guest.ctx, s.guest.cfg.Home, true)
		more = s.add(k, err)
	}
}

// add takes what startKernel returned, and reports whether another spare is wanted.
func (s *spares) add(k *kernel, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.closed {
		k.close()
	} else if err == nil {
		s.ready = append(s.ready, k)
	}
	s.filling = err == nil && !s.closed && len(s.ready) < s.guest.cfg.Spares
	return s.filling
}

// awaitQuiet waits for a quiet moment, or for the guest's end.
func (s *spares) awaitQuiet() {
	for {
		s.mu.Lock()
		left := time.Until(s.touched.Add(quiet))
		s.mu.Unlock()
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-s.guest.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// close ends the spares. No more are made.
func (s *spares) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, k := range s.ready {
		k.close()
	}
	s.ready = nil
}
