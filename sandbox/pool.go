package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// PoolOptions say what a pool keeps.
type PoolOptions struct {
	// Ready says how many sandboxes of which spec are kept warm. Specs must have their limits'
	// defaults filled in.
	Ready map[Spec]int
	// Check returns when a sandbox can be used, and an error if it never will. It is called once
	// when a sandbox was made, and again just before it is handed over. Nil: none is made.
	Check func(ctx context.Context, s Sandbox) error
	// Log hears of sandboxes that could not be made or that died waiting. Nil: nobody does.
	Log *slog.Logger
}

const (
	checkWarm     = 60 * time.Second // for a new sandbox, whose kernel still imports
	checkHandover = time.Second      // for those that were found well before, all that one caller is shown
	closeLimit    = 30 * time.Second
	refillDelay   = 50 * time.Millisecond // lets the caller who took one get on first
	firstBackoff  = 100 * time.Millisecond
	lastBackoff   = 5 * time.Second
)

// A Pool is a [Driver] that keeps sandboxes ready. It hands out each of them once. When it has none
// of the wanted spec it makes one, and it never makes a caller wait for its own refilling.
// Whoever made it closes it.
type Pool struct {
	driver  Driver
	check   func(ctx context.Context, s Sandbox) error
	log     *slog.Logger
	shelves map[Spec]*shelf
	waiting atomic.Int32 // callers for whom a sandbox is being made

	ctx    context.Context //nolint:containedctx // ends the refilling when the pool is closed
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// shelf holds the ready sandboxes of one spec.
type shelf struct {
	spec Spec
	want int
	wake chan struct{} // has room for one: something was taken, or died

	mu     sync.Mutex
	ready  []Sandbox // guarded by mu
	closed bool      // guarded by mu
}

// NewPool returns a pool over driver and begins to fill it in the background.
func NewPool(driver Driver, options PoolOptions) *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pool{
		driver:  driver,
		check:   options.Check,
		log:     options.Log,
		shelves: map[Spec]*shelf{},
		ctx:     ctx,
		cancel:  cancel,
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.check == nil {
		p.check = func(context.Context, Sandbox) error { return nil }
	}
	for spec, want := range maps.All(options.Ready) {
		if want <= 0 {
			continue
		}
		s := &shelf{spec: spec, want: want, wake: make(chan struct{}, 1)}
		p.shelves[spec] = s
		p.work.Go(func() { p.keepFull(s) })
	}
	return p
}

// Create hands out a ready sandbox of that spec, or makes one.
func (p *Pool) Create(ctx context.Context, spec Spec) (Sandbox, error) {
	if p.ctx.Err() != nil {
		return nil, errors.Join(ErrUnavailable, errors.New("the pool is closed"))
	}
	if s := p.shelves[spec]; s != nil {
		ready, err := p.takeWell(ctx, s)
		if ready != nil || err != nil {
			return ready, err
		}
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	return p.driver.Create(ctx, spec)
}

// takeWell returns a sandbox of a shelf that is well, or nil. All that are looked at share one bound: where
// none of them answers, as when the engine hangs, the caller must not wait for each.
func (p *Pool) takeWell(ctx context.Context, s *shelf) (Sandbox, error) {
	within, cancel := context.WithTimeout(ctx, checkHandover)
	defer cancel()
	for within.Err() == nil {
		ready := s.take()
		if ready == nil {
			break
		}
		if p.check(within, ready) == nil {
			return ready, nil
		}
		if ctx.Err() != nil { // the caller left: that says nothing of the sandbox
			if !s.put(ready) {
				p.discard(ready, "the pool is closed")
			}
			return nil, context.Cause(ctx)
		}
		p.discard(ready, "not well")
	}
	return nil, nil
}

// Ready returns how many sandboxes of each spec wait now, and how many are wanted.
func (p *Pool) Ready() (ready, wanted map[Spec]int) {
	ready, wanted = map[Spec]int{}, map[Spec]int{}
	for spec, s := range p.shelves {
		s.mu.Lock()
		ready[spec] = len(s.ready)
		s.mu.Unlock()
		wanted[spec] = s.want
	}
	return ready, wanted
}

// keepFull fills a shelf until the pool is closed. While the engine fails it tries less and less
// often, and while callers wait for sandboxes of their own it stands back. The log hears when it begins
// to fail and when that is over.
func (p *Pool) keepFull(s *shelf) {
	backoff := firstBackoff
	for {
		wait := time.Duration(-1)
		switch {
		case !s.short():
		case p.waiting.Load() > 0:
			wait = firstBackoff
		default:
			err := p.addOne(s)
			failing := backoff > firstBackoff
			switch {
			case p.ctx.Err() != nil:
				return
			case err == nil && failing:
				p.log.Info("the pool fills again", "template", s.spec.Template)
			case err != nil && !failing:
				p.log.Warn("cannot fill the pool", "template", s.spec.Template, "retry_at_most_every", lastBackoff, "error", err)
			}
			if wait, backoff = backoff, min(2*backoff, lastBackoff); err == nil {
				wait, backoff = 0, firstBackoff
			}
		}
		if !p.pause(s, wait) {
			return
		}
	}
}

// pause waits until a shelf is to be looked at again: after so long, where that is not negative, or
// when something was taken. It returns false once the pool is closed.
func (p *Pool) pause(s *shelf, wait time.Duration) bool {
	var timer <-chan time.Time
	if wait >= 0 {
		timer = time.After(wait)
	}
	select {
	case <-p.ctx.Done():
		return false
	case <-timer:
		return true
	case <-s.wake:
	}
	select {
	case <-p.ctx.Done():
		return false
	case <-time.After(refillDelay):
		return true
	}
}

// addOne makes a sandbox and puts it on the shelf when it is warm.
func (p *Pool) addOne(s *shelf) error {
	made, err := p.driver.Create(p.ctx, s.spec)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, checkWarm)
	defer cancel()
	if err := p.check(ctx, made); err != nil {
		p.discard(made, "not well")
		return err
	}
	if !s.put(made) {
		p.discard(made, "the pool is closed")
		return nil
	}
	p.work.Go(func() {
		select {
		case <-made.Done():
			if s.remove(made) {
				p.discard(made, "died waiting")
			}
		case <-p.ctx.Done():
		}
	})
	return nil
}

// discard closes a sandbox in the background.
func (p *Pool) discard(s Sandbox, why string) {
	if p.ctx.Err() == nil { // an ending pool discards whatever it was making
		p.log.Warn("discarding a sandbox", "sandbox", s.ID(), "why", why, "error", s.Err())
	}
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		_ = s.Close(ctx) // the engine's reaper finishes what fails here
	})
}

// Close ends the refilling, closes what waits, and returns when that is done or ctx ends.
// Sandboxes that were handed out are their holders' to close.
func (p *Pool) Close(ctx context.Context) error {
	p.cancel()
	var errs []error
	var mu sync.Mutex
	var closing sync.WaitGroup
	for _, s := range p.shelves {
		for _, ready := range s.close() {
			closing.Go(func() {
				if err := ready.Close(ctx); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		}
	}
	closing.Wait()
	done := make(chan struct{})
	go func() {
		p.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		errs = append(errs, ctx.Err())
	}
	return errors.Join(errs...)
}

// short reports whether the shelf could take one more.
func (s *shelf) short() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready) < s.want
}

// put adds a sandbox. It reports false when the shelf is closed.
func (s *shelf) put(made Sandbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.ready = append(s.ready, made)
	return true
}

// take removes and returns the oldest sandbox, or nil.
func (s *shelf) take() Sandbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return nil
	}
	taken := s.ready[0]
	s.ready = append(s.ready[:0], s.ready[1:]...)
	s.signal()
	return taken
}

// remove takes a certain sandbox away. It reports false when that is not there any more.
func (s *shelf) remove(gone Sandbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, ready := range s.ready {
		if ready == gone {
			s.ready = append(s.ready[:i], s.ready[i+1:]...)
			s.signal()
			return true
		}
	}
	return false
}

func (s *shelf) close() []Sandbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.ready
	s.ready, s.closed = nil, true
	return left
}

func (s *shelf) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
