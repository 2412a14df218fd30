package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Defaults of a [Breaker].
const (
	defaultFailures = 5
	defaultRest     = 5 * time.Second
)

// BreakerState says what a [Breaker] does with the next creation.
type BreakerState string

// The states of a breaker.
const (
	BreakerClosed   BreakerState = "closed"    // it is tried
	BreakerOpen     BreakerState = "open"      // it is refused
	BreakerHalfOpen BreakerState = "half_open" // one is tried, and others are refused until that has ended
)

// BreakerOptions say when a breaker opens and how long for.
type BreakerOptions struct {
	// Failures is how many creations must fail one after another. Zero means 5.
	Failures int
	// Rest is how long an open breaker refuses everything before it lets one creation try. Zero means 5 s.
	Rest time.Duration
	// Log gets one line when the breaker opens and one when it closes. Nil: none.
	Log *slog.Logger
}

// RefusedError is returned by a [Breaker] that does not try. It wraps [ErrUnavailable].
type RefusedError struct {
	// RetryAfter is how long it will be before a creation is tried again. Never zero.
	RetryAfter time.Duration
}

// Error says it for the log.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the engine failed again and again and is not asked for %v", e.RetryAfter.Round(time.Millisecond))
}

// Unwrap returns [ErrUnavailable].
func (e *RefusedError) Unwrap() error { return ErrUnavailable }

// A Breaker is a [Driver] that stops asking another one once that keeps failing, so that callers learn
// it at once and an engine in trouble is left alone. What counts are errors that wrap [ErrUnavailable]
// and timeouts; callers that leave and requests that are wrong say nothing of the engine. Its methods
// may be called by any number of goroutines.
type Breaker struct {
	driver  Driver
	options BreakerOptions

	mu      sync.Mutex
	failed  int       // in a row; guarded by mu
	until   time.Time // refuses until then; zero while closed; guarded by mu
	probing bool      // one creation tries whether the engine is back; guarded by mu
}

// NewBreaker returns a closed breaker in front of driver.
func NewBreaker(driver Driver, options BreakerOptions) *Breaker {
	if options.Failures <= 0 {
		options.Failures = defaultFailures
	}
	if options.Rest <= 0 {
		options.Rest = defaultRest
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	return &Breaker{driver: driver, options: options}
}

// Create makes a sandbox, or returns a [RefusedError] at once.
func (b *Breaker) Create(ctx context.Context, spec Spec) (Sandbox, error) {
	probe, err := b.enter()
	if err != nil {
		return nil, err
	}
	made, err := b.driver.Create(ctx, spec)
	b.leave(probe, err, ctx.Err() != nil)
	return made, err
}

// State returns what happens with the next creation.
func (b *Breaker) State() BreakerState {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return BreakerClosed
	case b.probing || !time.Now().Before(b.until):
		return BreakerHalfOpen
	default:
		return BreakerOpen
	}
}

// Ready returns an error while creations are refused. Once one may try, it returns nil: a gateway to
// which nobody sends work for want of readiness would never try.
func (b *Breaker) Ready(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probing || time.Now().Before(b.until) {
		return fmt.Errorf("%w: the last creations failed", ErrUnavailable)
	}
	return nil
}

// enter lets a creation through, as the probe or among others, or refuses it.
func (b *Breaker) enter() (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return false, nil
	}
	if wait := time.Until(b.until); wait > 0 {
		return false, &RefusedError{RetryAfter: wait}
	}
	if b.probing {
		return false, &RefusedError{RetryAfter: b.options.Rest}
	}
	b.probing = true
	return true, nil
}

// leave notes how a creation ended. Any that succeeds closes the breaker; of the failures of an open
// one only the probe's counts.
func (b *Breaker) leave(probe bool, err error, left bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := !b.until.IsZero()
	if probe {
		b.probing = false
	}
	switch {
	case err == nil:
		b.failed, b.until = 0, time.Time{}
		if open {
			b.options.Log.Info("the engine makes sandboxes again")
		}
	case left || !errors.Is(err, ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
	case open && probe:
		b.until = time.Now().Add(b.options.Rest)
	case !open:
		if b.failed++; b.failed < b.options.Failures {
			return
		}
		b.until = time.Now().Add(b.options.Rest)
		b.options.Log.Error("the engine fails again and again: sandboxes are refused until one can be made",
			"failures", b.failed, "tried_every", b.options.Rest, "error", err)
	}
}
