package docker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	pulseEvery = 500 * time.Millisecond // between an answer and the next question
	// pulseTimeout is how long an engine may take to say that it is there. With pulseEvery it bounds
	// how long creations under way wait for an engine that has died or hangs: two seconds.
	pulseTimeout = 1500 * time.Millisecond
)

// pulse asks the engine again and again whether it is there. Of an engine that hangs nothing else would
// tell before the long timeouts of its other calls.
type pulse struct {
	ask  func(ctx context.Context) error
	log  *slog.Logger
	back func() // called when the engine answers again

	stop  context.CancelFunc
	ended chan struct{}

	mu   sync.Mutex
	err  error                   // why the engine is given up; nil while it answers; guarded by mu
	live context.Context         //nolint:containedctx // ends when the engine stops answering; guarded by mu
	drop context.CancelCauseFunc // ends live; guarded by mu
}

// startPulse begins to ask. Until the first answer the engine passes for alive; back is called whenever it
// answers again. Whoever started it calls close.
func startPulse(ask func(ctx context.Context) error, back func(), log *slog.Logger) *pulse {
	ctx, stop := context.WithCancel(context.Background())
	p := &pulse{ask: ask, log: log, back: back, stop: stop, ended: make(chan struct{})}
	p.live, p.drop = context.WithCancelCause(context.Background())
	go p.run(ctx)
	return p
}

func (p *pulse) run(ctx context.Context) {
	defer close(p.ended)
	for {
		asking, cancel := context.WithTimeout(ctx, pulseTimeout)
		err := p.ask(asking)
		cancel()
		if ctx.Err() != nil {
			return
		}
		p.note(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pulseEvery):
		}
	}
}

// note takes an answer. The log hears of changes.
func (p *pulse) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil && p.err == nil:
		p.log.Error("the engine does not answer", "within", pulseTimeout, "error", err)
		p.err = fmt.Errorf("%w: it does not answer: %w", sandbox.ErrUnavailable, err)
		p.drop(p.err)
	case err == nil && p.err != nil:
		p.log.Info("the engine answers again")
		p.err = nil
		p.live, p.drop = context.WithCancelCause(context.Background())
		p.back()
	}
}

// within returns a context that also ends when the engine stops answering; its cause then wraps
// [sandbox.ErrUnavailable]. The caller calls the function at the end.
func (p *pulse) within(ctx context.Context) (context.Context, context.CancelFunc) {
	p.mu.Lock()
	live := p.live
	p.mu.Unlock()
	both, cancel := context.WithCancelCause(ctx)
	if live.Err() != nil {
		cancel(context.Cause(live))
	}
	unhook := context.AfterFunc(live, func() { cancel(context.Cause(live)) })
	return both, func() {
		unhook()
		cancel(context.Canceled)
	}
}

func (p *pulse) close() {
	p.stop()
	<-p.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(context.Canceled)
}
