package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/bench/rig"
	"github.com/sandgate/sandgate/gateway/failpoint"
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

// life is one life of the gateway, which begins with a look at how the one before ended.
func (t *trial) life(ctx context.Context, p plan) error {
	if err := t.boot(ctx); err != nil {
		return err
	}
	t.check(ctx)
	switch {
	case p.is("key"):
		return t.keyCommand(ctx, p)
	case p.point != "":
		if err := t.kill(); err != nil { // what was checked is not what is to come to the point
			return err
		}
		return t.toPoint(ctx, p)
	case p.faults != "":
		if err := t.kill(); err != nil {
			return err
		}
		return t.faulty(ctx, p)
	case p.signal == syscall.SIGTERM:
		load := t.load(ctx, p)
		pause(ctx, p.after)
		t.ledger.drain()
		err := t.terminate(ctx)
		load.stop()
		t.ledger.drain() // what came meanwhile was refused, or must not be lost either
		return err
	default:
		load := t.load(ctx, p)
		defer load.stop()
		pause(ctx, p.after)
		if err := t.kill(); err != nil || !p.robbed {
			return err
		}
		found, err := t.gateway.Containers(ctx)
		if len(found) > 0 {
			err = errors.Join(err, rig.Remove(ctx, found[0].ID))
		}
		return err
	}
}

func (t *trial) kill() error {
	t.figures.count(func(f *figures) { f.killed++ })
	return t.gateway.Kill()
}

// terminate ends the gateway in good order: it says that it ended well, and leaves no container.
func (t *trial) terminate(ctx context.Context) error {
	if err := t.gateway.Terminate(); err != nil {
		t.figures.broken("SIGTERM: %v\n%s", err, t.gateway.Log())
	}
	t.figures.count(func(f *figures) { f.terminated++ })
	left, err := t.gateway.Containers(ctx)
	if len(left) > 0 {
		t.figures.count(func(f *figures) { f.orphans += len(left) })
		t.figures.broken("SIGTERM left %d containers", len(left))
	}
	return err
}

// toPoint starts the gateway with a failpoint armed and works until it is reached.
func (t *trial) toPoint(ctx context.Context, p plan) error {
	if err := t.gateway.Start(p.arming()); err != nil {
		return err
	}
	if err := t.serving(ctx, nil); err != nil && !errors.Is(err, rig.ErrEnded) {
		return err
	}
	load := t.load(ctx, p)
	defer load.stop()
	if p.signal == syscall.SIGTERM && t.gateway.Alive() {
		pause(ctx, p.after)
		_ = t.gateway.Terminate() // it is to die on the way
		load.stop()
		for _, s := range t.ledger.all() { // each may have been ended, or not
			s.end(false)
		}
	}
	select {
	case <-t.gateway.Exited():
	case <-time.After(pointTimeout):
	case <-ctx.Done():
	}
	if !t.gateway.Reached(p.point) {
		t.figures.broken("the failpoint %s was never reached\n%s", p, t.gateway.Log())
	}
	t.figures.count(func(f *figures) { f.atPoints++ })
	return t.kill() // it is dead, unless it never came to the point
}

// faulty works while steps fail, and kills the gateway then. A gateway may not start at all with such a
// store; then it is started again.
func (t *trial) faulty(ctx context.Context, p plan) error {
	for {
		if err := t.gateway.Start(p.arming()); err != nil {
			return err
		}
		err := t.serving(ctx, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, rig.ErrEnded) {
			return err
		}
	}
	load := t.load(ctx, p)
	defer load.stop()
	pause(ctx, p.after)
	return t.kill()
}

// keyCommand kills the command line while it makes a key, under a load that must not notice.
func (t *trial) keyCommand(ctx context.Context, p plan) error {
	load := t.load(ctx, p)
	defer load.stop()
	const tenant = "tenant-of-the-killed-command"
	before, err := t.gateway.Keys()
	if err != nil {
		return err
	}
	if text, err := t.gateway.NewKey(p.arming(), tenant); err == nil || !strings.Contains(err.Error(), "failpoint "+string(p.point)+" reached") {
		t.figures.broken("the failpoint %s was never reached: %v, %d bytes of a key", p, err, len(text))
	}
	after, err := t.gateway.Keys()
	if err != nil {
		t.figures.broken("the keys cannot be read after a command was killed: %v", err)
	}
	if made := strings.Count(after, tenant) > strings.Count(before, tenant); made != (p.point == failpoint.KeyChanged) {
		t.figures.broken("after %s the new key is in the list: %t", p, made)
	}
	if !t.gateway.Alive() {
		t.figures.broken("the gateway died with a key command")
	}
	t.figures.count(func(f *figures) { f.keyCommands++ })
	return t.kill()
}
