package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/bench/rig"
)

// Bounds of a life.
const (
	bootTimeout  = time.Minute
	pointTimeout = 30 * time.Second // within which a load must come to a failpoint
	// sessionsTimeout is how long a load may take to make its sessions before something is done to it.
	sessionsTimeout = 3 * time.Second
	reportEvery     = 50 // lives
)

// A trial is one gateway through all its lives. It is used by one goroutine. Close it.
type trial struct {
	gateway *rig.Gateway
	opts    options
	out     io.Writer
	figures *figures
	ledger  *ledger
	clients []*rig.Client // one for each tenant
	slots   []*slot
	chance  *rand.Rand
}

func newTrial(ctx context.Context, gateway *rig.Gateway, o options, out io.Writer) *trial {
	return &trial{
		gateway: gateway, opts: o, out: out, figures: &figures{over: func() bool { return ctx.Err() != nil }}, ledger: newLedger(),
		chance: rand.New(rand.NewPCG(o.seed, 0)), //nolint:gosec // to be drawn again from the same seed
	}
}

func (t *trial) close() {
	for _, client := range t.clients {
		client.Close()
	}
}

// keys makes the tenants and their clients.
func (t *trial) keys() error {
	for i := range tenants {
		tenant := fmt.Sprintf("tenant-%d", i)
		key, err := t.gateway.NewKey("", tenant)
		if err != nil {
			return err
		}
		client := t.gateway.Client(tenant, key)
		t.clients = append(t.clients, client)
		for range slotsEach {
			t.slots = append(t.slots, &slot{client: client})
		}
	}
	return nil
}

// all lives every life, and then one more whose end must leave nothing.
func (t *trial) all(ctx context.Context) error {
	_, _ = fmt.Fprintf(t.out, "seed %d, runtime %s\n", t.opts.seed, t.opts.runtime)
	for i, p := range plans(t.opts.kills, t.chance) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.life(ctx, p); err != nil {
			return fmt.Errorf("life %d, to end by %s: %w", i+1, p, err)
		}
		if (i+1)%reportEvery == 0 {
			_, _ = fmt.Fprintf(t.out, "%d lives, %d promises broken\n", i+1, t.figures.breaches)
		}
	}
	if err := t.boot(ctx); err != nil {
		return err
	}
	t.check(ctx)
	return t.terminate(ctx)
}

// boot starts the gateway without failpoints and notes how long that took.
func (t *trial) boot(ctx context.Context) error {
	if err := t.gateway.Start(""); err != nil {
		return err
	}
	found := 0
	if err := t.serving(ctx, &found); err != nil {
		return err
	}
	serving := time.Since(t.gateway.Started())
	if _, err := t.gateway.Ready(ctx, bootTimeout); err != nil {
		return err
	}
	ready := time.Since(t.gateway.Started())
	t.figures.count(func(f *figures) {
		f.serving = append(f.serving, serving)
		if found > 0 {
			f.ready = append(f.ready, ready)
		} else { // it may have waited for its first warm sandbox
			f.cold = append(f.cold, ready)
		}
	})
	return nil
}

// serving waits until every tenant is answered, and counts the sessions that they have.
func (t *trial) serving(ctx context.Context, sessions *int) error {
	_, err := t.gateway.Await(ctx, "serve calls", bootTimeout, func(ctx context.Context) bool {
		found := 0
		for _, client := range t.clients {
			running, _, err := client.Running(ctx)
			if err != nil {
				return false
			}
			found += len(running)
		}
		if sessions != nil {
			*sessions = found
		}
		return true
	})
	return err
}

// load starts the load of a plan, and lets it make its sessions, if the plan has the time.
func (t *trial) load(ctx context.Context, p plan) *load {
	l := startLoad(ctx, t.ledger, t.slots, p.churn)
	if p.hasty || p.point != "" && p.signal != syscall.SIGTERM {
		return l
	}
	for deadline := time.Now().Add(sessionsTimeout); time.Now().Before(deadline) && t.gateway.Alive(); pause(ctx, checkEvery) {
		if len(t.ledger.all()) >= len(t.slots)/2 {
			break
		}
	}
	return l
}
