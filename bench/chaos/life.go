package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/bench/rig"
	"github.com/sandgate/sandgate/gateway/failpoint"
)

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
