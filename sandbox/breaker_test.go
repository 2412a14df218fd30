package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// The breaker opens after failures in a row, says when to come back, lets one try, and closes.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{fail: errors.Join(sandbox.ErrUnavailable, errors.New("no space left"))}
		var log bytes.Buffer
		b := sandbox.NewBreaker(e, sandbox.BreakerOptions{
			Failures: 3, Rest: 4 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		for range 3 {
			if b.State() != sandbox.BreakerClosed {
				t.Fatalf("open before the third failure")
			}
			_, _ = b.Create(t.Context(), spec())
		}
		var refused *sandbox.RefusedError
		for range 100 {
			_, err := b.Create(t.Context(), spec())
			if !errors.As(err, &refused) || !errors.Is(err, sandbox.ErrUnavailable) || refused.RetryAfter != 4*time.Second {
				t.Fatalf("open: %v", err)
			}
		}
		if e.calls != 3 || b.State() != sandbox.BreakerOpen || b.Ready(t.Context()) == nil {
			t.Errorf("%d calls of the engine, state %s", e.calls, b.State())
		}
		time.Sleep(4 * time.Second) //nolint:forbidigo // of a fake clock
		if _, err := b.Create(t.Context(), spec()); errors.As(err, &refused) || b.State() != sandbox.BreakerOpen {
			t.Errorf("the probe: %v, then %s", err, b.State())
		}
		time.Sleep(4 * time.Second) //nolint:forbidigo // of a fake clock
		if err := b.Ready(t.Context()); err != nil {
			t.Errorf("nobody is sent here who could try: %v", err)
		}
		e.fail, e.slow = nil, time.Second
		probed := make(chan error)
		go func() {
			_, err := b.Create(t.Context(), spec())
			probed <- err
		}()
		synctest.Wait()
		if _, err := b.Create(t.Context(), spec()); !errors.As(err, &refused) || b.State() != sandbox.BreakerHalfOpen || b.Ready(t.Context()) == nil {
			t.Errorf("beside the probe: %v, %s", err, b.State())
		}
		if err := <-probed; err != nil || b.State() != sandbox.BreakerClosed || b.Ready(t.Context()) != nil {
			t.Errorf("after a good probe: %v, %s", err, b.State())
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 {
			t.Errorf("%d log lines, want one when it opens and one when it closes:\n%s", lines, log.String())
		}
	})
}

// What says nothing of the engine neither opens the breaker nor keeps the probe's place.
func TestBreakerCountsOnlyTheEnginesFailures(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	for name, test := range map[string]struct {
		ctx   context.Context //nolint:containedctx // one test's
		fail  error
		opens bool
	}{
		"the engine":      {t.Context(), sandbox.ErrUnavailable, true},
		"its own timeout": {t.Context(), context.DeadlineExceeded, true},
		"a bad request":   {t.Context(), errors.New("no such runtime"), false},
		"a caller left":   {left, sandbox.ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := sandbox.NewBreaker(sandbox.DriverFunc(func(context.Context, sandbox.Spec) (sandbox.Sandbox, error) {
				return nil, test.fail
			}), sandbox.BreakerOptions{})
			for range 20 {
				_, _ = b.Create(test.ctx, spec())
			}
			if open := b.State() != sandbox.BreakerClosed; open != test.opens {
				t.Errorf("open: %v", open)
			}
		})
	}
}

func TestBreakerProbeThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{fail: sandbox.ErrUnavailable}
		b := sandbox.NewBreaker(e, sandbox.BreakerOptions{Failures: 1, Rest: time.Second})
		_, _ = b.Create(t.Context(), spec())
		time.Sleep(time.Second) //nolint:forbidigo // of a fake clock
		gone, leave := context.WithCancel(t.Context())
		leave()
		e.slow, e.fail = time.Second, nil
		if _, err := b.Create(gone, spec()); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err := b.Create(t.Context(), spec()); err != nil || b.State() != sandbox.BreakerClosed {
			t.Errorf("the next one probes: %v, %s", err, b.State())
		}
	})
}
