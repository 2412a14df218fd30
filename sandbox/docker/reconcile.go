package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guest/channel"
)

// parallelCleanup bounds how many containers are taken over or removed at once.
const parallelCleanup = 8

// Reconcile settles what an earlier driver of the same owner has left, and is called once before
// anything else. Running sandboxes for whose id keep reports true are taken over; they and only they
// are returned. All other containers of the owner are removed, which goes on in the background: whoever
// uses what was kept does not wait for it, and Create does. keep may be nil, which keeps none. It is
// called by one goroutine. Containers of other owners are never touched.
// Sandboxes that are returned with an error are good.
func (d *Driver) Reconcile(ctx context.Context, keep func(id string) bool) ([]sandbox.Sandbox, error) {
	found, err := d.list(ctx)
	if err != nil {
		return nil, err
	}
	var (
		mu           sync.Mutex
		kept         []sandbox.Sandbox
		wanted, left []container.Summary
	)
	for _, each := range found {
		if keep != nil && each.State == container.StateRunning && keep(each.ID) {
			wanted = append(wanted, each)
		} else {
			left = append(left, each)
		}
	}
	err = d.forEach(wanted, func(each container.Summary) error {
		adopted, err := d.adopt(ctx, each)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			d.options.Log.Warn("sandbox not taken over", "container", each.ID, "error", err)
			left = append(left, each)
			return nil
		}
		kept = append(kept, adopted)
		return nil
	})
	err = errors.Join(err, d.refreshForeign(ctx))
	d.clean(left)
	return kept, err
}

// clean removes what nobody took over, in the background.
func (d *Driver) clean(left []container.Summary) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reconciled = true
	if d.closed || len(left) == 0 {
		return
	}
	cleaned := make(chan struct{})
	d.cleaned = cleaned
	d.tasks.Go(func() {
		defer close(cleaned)
		err := d.forEach(left, func(each container.Summary) error { return d.removeStray(context.Background(), each) })
		if err != nil {
			d.options.Log.Warn("some sandboxes could not be removed; the next sweep tries again", "error", err)
		}
	})
}

// awaitClean waits until what an earlier driver has left is removed: it holds memory until then.
func (d *Driver) awaitClean(ctx context.Context) error {
	d.mu.Lock()
	cleaned := d.cleaned
	d.mu.Unlock()
	if cleaned == nil {
		return nil
	}
	select {
	case <-cleaned:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// list returns the containers of this owner that the driver does not hold.
func (d *Driver) list(ctx context.Context) ([]container.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	all, err := d.engine.ContainerList(ctx, container.ListOptions{
		All:     true,
		Filters: filters.NewArgs(filters.Arg("label", labelOwner+"="+d.options.Owner)),
	})
	if err != nil {
		return nil, d.classify("list containers", err)
	}
	var strays []container.Summary
	for _, each := range all {
		// The engine has filtered; removing others' containers is bad enough to look again.
		if each.Labels[labelOwner] == d.options.Owner && !d.isHeld(nameOf(each)) {
			strays = append(strays, each)
		}
	}
	return strays, nil
}

// adopt takes a running container over.
func (d *Driver) adopt(ctx context.Context, found container.Summary) (*instance, error) {
	id, err := parseLabels(found.Labels)
	if err != nil {
		return nil, err
	}
	if id.epoch > d.options.Epoch {
		return nil, fmt.Errorf("made by epoch %d, after this driver's %d", id.epoch, d.options.Epoch)
	}
	name := nameOf(found)
	if !d.hold(name) {
		return nil, sandbox.ErrClosed
	}
	taken := d.newContainer(name, id.uid, id.spec)
	taken.id = found.ID
	d.uids.hold(id.uid, name)
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout) // a frozen guest must not keep a gateway from starting
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go d.endWith(ctx, found.ID, end)
	stream, err := attach(ctx, d.engine, found.ID)
	if err == nil {
		taken.stderr = stream.tail
		taken.channel, err = channel.Dial(ctx, stream, d.options.Epoch)
	}
	if err != nil {
		d.letGo(name)
		return nil, errors.Join(err, context.Cause(ctx))
	}
	go taken.watch()
	return taken, nil
}

// endWith ends something when a container ends, and itself when ctx does. The engine attaches to a
// container that is about to end, and then neither sends anything nor says that it has ended.
func (d *Driver) endWith(ctx context.Context, id string, end context.CancelCauseFunc) {
	ended, failed := d.engine.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select { // one of them has something when ctx has ended
	case <-ended:
		end(errEnded)
	case err := <-failed:
		end(err)
	}
}

var errEnded = errors.New("its container has ended")

// removeStray removes a container that the driver does not hold, unless a later driver made it.
func (d *Driver) removeStray(ctx context.Context, stray container.Summary) error {
	id, err := parseLabels(stray.Labels)
	if err == nil && id.epoch > d.options.Epoch {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := d.removeContainer(ctx, stray.ID); err != nil {
		return err
	}
	d.uids.release(id.uid, nameOf(stray))
	return nil
}

// forEach calls work for each container, parallelCleanup at a time, and joins the errors.
func (d *Driver) forEach(all []container.Summary, work func(container.Summary) error) error {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		errs  []error
	)
	tokens := make(chan struct{}, parallelCleanup)
	for _, each := range all {
		tokens <- struct{}{}
		group.Go(func() {
			defer func() { <-tokens }()
			if err := work(each); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func nameOf(found container.Summary) string {
	if len(found.Names) == 0 {
		return found.ID
	}
	return strings.TrimPrefix(found.Names[0], "/")
}
