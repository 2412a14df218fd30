package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guest/channel"
)

// instance is one container, as a [sandbox.Sandbox].
type instance struct {
	driver  *Driver
	name    string
	id      string
	uid     int
	spec    sandbox.Spec
	channel *channel.Client
	stderr  *tail

	stopOnce sync.Once
	stop     chan struct{} // closed by Close
	done     chan struct{}
	err      error         // written before done is closed
	gone     chan struct{} // closed when the removal is over
	goneErr  error         // written before gone is closed

	countersOnce sync.Once
	counters     counters // where its use is read; written by countersOnce
}

func (d *Driver) newContainer(name string, uid int, spec sandbox.Spec) *instance {
	return &instance{
		driver: d, name: name, uid: uid, spec: spec,
		stop: make(chan struct{}), done: make(chan struct{}), gone: make(chan struct{}),
	}
}

func (c *instance) ID() string                   { return c.id }
func (c *instance) Spec() sandbox.Spec           { return c.spec }
func (c *instance) Transport() http.RoundTripper { return c.channel }
func (c *instance) Done() <-chan struct{}        { return c.done }

func (c *instance) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close asks the watcher to end the container and waits for it.
func (c *instance) Close(ctx context.Context) error {
	c.stopOnce.Do(func() { close(c.stop) })
	select {
	case <-c.gone:
		return c.goneErr
	case <-ctx.Done():
		return fmt.Errorf("close sandbox: %w", context.Cause(ctx))
	}
}

// watch waits for the end of the sandbox, says why it came, and removes the container. It runs for as
// long as the driver holds the container.
func (c *instance) watch() {
	detached, superseded := false, false
	select {
	case <-c.stop:
		c.err = fmt.Errorf("sandbox %s: %w", c.name, sandbox.ErrClosed)
	case <-c.driver.detach:
		detached = true
		c.err = fmt.Errorf("sandbox %s: the driver let go of it: %w", c.name, sandbox.ErrClosed)
	case <-c.channel.Done():
		if errors.Is(c.channel.Err(), channel.ErrSuperseded) { // it lives on, and is not ours to remove
			superseded = true
			c.err = fmt.Errorf("sandbox %s: %w: %w", c.name, sandbox.ErrLost, channel.ErrSuperseded)
			break
		}
		c.err = fmt.Errorf("sandbox %s: %w: %w", c.name, sandbox.ErrLost, c.explain())
	}
	// Users learn of the end before the engine has done its part, which takes a while.
	close(c.done)
	_ = c.channel.Close()
	switch {
	case superseded:
		c.driver.tasks.Done() // but its name is kept, so that no sweep of this driver takes it for a leftover
	case detached:
		c.driver.letGo(c.name)
	default:
		c.goneErr = c.remove()
	}
	close(c.gone)
}

// explain asks the engine once why the container ended. The answer is never nil. Callers of a dead sandbox
// wait for it, so that an engine that is slow or gone is not waited for.
func (c *instance) explain() error {
	ctx, cancel := context.WithTimeout(context.Background(), explainTimeout)
	defer cancel()
	found, err := c.settled(ctx)
	switch {
	case errdefs.IsNotFound(err):
		return errors.New("its container was removed from outside")
	case err != nil: // its text names the engine's address, and callers are shown this error's
		c.driver.options.Log.Warn("the engine does not say why a sandbox died", "container", c.name, "error", err)
		return errors.New("its engine is gone or does not answer")
	}
	why := errors.New(c.epitaph(found.State))
	if found.State.OOMKilled && !found.State.Running {
		return fmt.Errorf("%w: %w", sandbox.ErrMemory, why)
	}
	return why
}

// settled inspects the container. The stream ends a moment before the engine records the exit, so that
// a container that still runs is given that moment.
func (c *instance) settled(ctx context.Context) (container.InspectResponse, error) {
	var found container.InspectResponse
	var err error
	for _, pause := range []time.Duration{0, 20 * time.Millisecond, 80 * time.Millisecond, 400 * time.Millisecond} {
		time.Sleep(pause) //nolint:forbidigo // the engine tells nobody when it has recorded an exit
		found, err = c.driver.engine.ContainerInspect(ctx, c.id)
		if err != nil || !found.State.Running {
			break
		}
	}
	return found, err
}

func (c *instance) epitaph(state *container.State) string {
	var what string
	switch {
	case state.Running:
		what = "its channel ended while the container ran"
		if err := c.channelErr(); err != nil {
			what += ": " + err.Error()
		}
	case state.OOMKilled || state.ExitCode == 137:
		what = fmt.Sprintf("killed with exit code %d", state.ExitCode)
		if state.OOMKilled {
			what = fmt.Sprintf("out of memory: the limit is %d MiB (exit code %d)",
				c.spec.Limits.MemoryBytes/sandbox.MiB, state.ExitCode)
		}
	default:
		what = fmt.Sprintf("its guest exited with code %d", state.ExitCode)
	}
	if state.Error != "" {
		what += "; the engine says " + fmt.Sprintf("%q", state.Error)
	}
	if last := c.stderr.String(); last != "" {
		what += "; the guest's last words: " + last
	}
	return what
}

func (c *instance) channelErr() error {
	if c.channel == nil {
		return nil
	}
	return c.channel.Err()
}

// remove kills and removes the container and frees what the driver keeps of it. If that fails, the uid
// stays reserved and the next sweep tries again.
func (c *instance) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	err := c.driver.removeContainer(ctx, c.name)
	if err == nil {
		c.driver.uids.release(c.uid, c.name)
	} else {
		c.driver.options.Log.Warn("sandbox not removed; the next sweep tries again", "container", c.name, "error", err)
	}
	c.driver.letGo(c.name)
	if err != nil {
		c.driver.askForSweep() // once it is let go, or the sweep would pass it by
	}
	return err
}

// removeContainer kills and removes a container, by name or id, and returns nil once it is gone.
func (d *Driver) removeContainer(ctx context.Context, name string) error {
	for {
		err := d.engine.ContainerRemove(ctx, name, container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, errdefs.IsNotFound(err):
			return nil
		case !errdefs.IsConflict(err):
			return fmt.Errorf("remove container %s: %w", name, err)
		}
		// Another removal of the same container is under way.
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("remove container %s: %w", name, errors.Join(context.Cause(ctx), err))
		}
	}
}
