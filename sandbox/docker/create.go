package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guest/channel"
)

const namePrefix = "sandgate-"

// Create makes a sandbox and returns when its guest answers. It waits while MaxCreating others are
// being made, and gives up as soon as the engine does not answer. Errors that may pass wrap
// [sandbox.ErrUnavailable]; a runtime or an image that the engine lacks does not. When it fails, the
// container is gone, or is being removed, or the sweep has it.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	spec.Limits = spec.Limits.WithDefaults()
	if err := d.checkSpec(spec); err != nil {
		return nil, err
	}
	ctx, cancel := d.pulse.within(ctx)
	defer cancel()
	if err := d.awaitClean(ctx); err != nil {
		return nil, fmt.Errorf("wait for what an earlier gateway left to be removed: %w", err)
	}
	if err := d.takeTurn(ctx); err != nil {
		return nil, err
	}
	name := newName()
	if !d.hold(name) {
		<-d.creating
		return nil, fmt.Errorf("create a sandbox: %w", sandbox.ErrClosed)
	}
	uid, err := d.uids.take(name)
	if err != nil {
		<-d.creating
		d.letGo(name)
		return nil, fmt.Errorf("%w: %w", sandbox.ErrUnavailable, err)
	}
	made := d.newContainer(name, uid, spec)
	if err := d.bringUpOrLeave(ctx, made); err != nil {
		return nil, err
	}
	go made.watch()
	return made, nil
}

// takeTurn waits while MaxCreating others are being made. After nil, a token must be taken from creating.
func (d *Driver) takeTurn(ctx context.Context) error {
	select {
	case d.creating <- struct{}{}:
		if ctx.Err() == nil {
			return nil
		}
		<-d.creating
	case <-ctx.Done():
	}
	return fmt.Errorf("wait to create a sandbox: %w", context.Cause(ctx))
}

// bringUpOrLeave brings a container up in its turn. When ctx ends it leaves an engine that does not come
// to an end alone with it: the goroutine sees to what becomes of it, and keeps the turn until then.
func (d *Driver) bringUpOrLeave(ctx context.Context, made *instance) error {
	ended, left := make(chan error), make(chan struct{})
	go func() {
		defer func() { <-d.creating }()
		err := d.bringUp(ctx, made)
		if err != nil {
			err = d.abandon(made, err)
		}
		select {
		case ended <- err:
		case <-left:
			if err == nil {
				_ = d.abandon(made, nil)
			}
		}
	}()
	select {
	case err := <-ended:
		return blame(ctx, err)
	case <-ctx.Done():
	}
	settle := time.NewTimer(settleTimeout)
	defer settle.Stop()
	select {
	case err := <-ended:
		return blame(ctx, err)
	case <-settle.C:
		close(left)
		return fmt.Errorf("create a sandbox: %w", context.Cause(ctx))
	}
}

// blame puts the end of ctx before an error that it has led to, as that says whether to try again.
func blame(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, sandbox.ErrUnavailable) {
		return fmt.Errorf("create a sandbox: %w (%w)", cause, err)
	}
	return err
}

func (d *Driver) checkSpec(spec sandbox.Spec) error {
	if err := spec.Check(sandbox.Limits{}); err != nil {
		return err
	}
	if spec.Template == "" || strings.Trim(spec.Template, "abcdefghijklmnopqrstuvwxyz") != "" {
		return fmt.Errorf("template %q is not a word of lower-case letters", spec.Template)
	}
	if spec.Runtime != "runc" && spec.Runtime != "runsc" {
		return fmt.Errorf("runtime %q is neither runc nor runsc", spec.Runtime)
	}
	if !slices.Contains(d.runtimes, spec.Runtime) {
		return fmt.Errorf("the engine has no runtime %s that isolates; `sandgate doctor` says what to do", spec.Runtime)
	}
	return nil
}

// bringUp creates the container, starts it and takes its channel, within a bound: an engine or a guest
// that hangs must not keep its place among those being made.
func (d *Driver) bringUp(ctx context.Context, made *instance) error {
	limited, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	err := d.bringUpWithin(limited, made)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("create a sandbox: %w: not done within %v: %w", sandbox.ErrUnavailable, createTimeout, err)
	}
	return err
}

func (d *Driver) bringUpWithin(ctx context.Context, made *instance) error {
	if err := d.createContainer(ctx, made); err != nil {
		return err
	}
	stream, err := attach(ctx, d.engine, made.id)
	if err != nil {
		return d.classify("create a sandbox", err)
	}
	made.stderr = stream.tail
	if err := d.engine.ContainerStart(ctx, made.id, container.StartOptions{}); err != nil {
		_ = stream.Close()
		return d.classify("start a sandbox", err)
	}
	// A guest answers as soon as it runs. One that does not is given up long before the whole is, so
	// that there is time for another.
	answering, cancel := context.WithTimeout(ctx, guestTimeout)
	defer cancel()
	if made.channel, err = channel.Dial(answering, stream, d.options.Epoch); err == nil {
		return nil
	}
	switch {
	case ctx.Err() != nil:
		return d.classify("start a sandbox", err)
	case answering.Err() != nil:
		return fmt.Errorf("start a sandbox: %w: its guest did not answer within %v; its last words: %q",
			sandbox.ErrUnavailable, guestTimeout, made.stderr.String())
	}
	return d.classify("start a sandbox", errors.Join(err, made.explain()))
}

// createContainer is not cut short when ctx ends: the engine would go on and leave a container that
// nobody knows.
func (d *Driver) createContainer(ctx context.Context, made *instance) error {
	labels, err := identity{
		owner: d.options.Owner, epoch: d.options.Epoch, created: time.Now(), uid: made.uid, spec: made.spec,
	}.labels()
	if err != nil {
		return err
	}
	wanted := plan{
		spec: made.spec, uid: made.uid, image: d.image, labels: labels,
		cgroupParent: d.options.CgroupParent, cgroupV1: d.cgroupV1, appArmor: d.appArmor,
		seccomp: d.seccomp, orphanTimeout: d.options.OrphanTimeout,
	}
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), engineTimeout)
	defer cancel()
	created, err := d.engine.ContainerCreate(whole, wanted.containerConfig(), wanted.hostConfig(), nil, nil, made.name)
	if err != nil {
		return d.classify("create a sandbox", err)
	}
	made.id = created.ID
	return context.Cause(ctx)
}

// abandon removes what a failed Create has left and returns its error.
func (d *Driver) abandon(made *instance, cause error) error {
	if made.channel != nil {
		_ = made.channel.Close()
	}
	return errors.Join(cause, made.remove())
}

// classify says in the error whether trying again may help.
func (d *Driver) classify(what string, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", what, err)
	case errdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such image"):
		return fmt.Errorf("%s: the engine has no image %s; `make setup` builds it: %w", what, d.options.Image, err)
	case errdefs.IsInvalidArgument(err), errdefs.IsPermissionDenied(err), errdefs.IsUnauthorized(err):
		return fmt.Errorf("%s: %w", what, err)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("%s: %w: %w", what, sandbox.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w: %w", what, sandbox.ErrUnavailable, err)
}

func newName() string {
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails
	return namePrefix + hex.EncodeToString(random[:])
}
