package docker

import (
	"context"
	"errors"
	"time"

	"github.com/docker/docker/api/types/container"
)

// SweepInterval is how often a [Reaper] looks when nothing else is said.
const SweepInterval = time.Minute

// sweepDelay is how long a sweep that was asked for waits, for others that ask and for what ails the engine to pass.
const sweepDelay = time.Second

// firstSweep is how long after its start a reaper looks for the first time; then it waits twice as long
// each time, up to its interval. The engine may still finish a sandbox that a gateway asked for which
// was killed, after this one has looked at what was there.
const firstSweep = time.Second

var errNotReconciled = errors.New("a sweep before Reconcile would remove what is to be taken over")

// Sweep removes the containers of this owner that the driver does not hold: what crashes and failed
// removals have left. It returns how many it removed. Containers of a later epoch and of other owners
// stay. It fails before Reconcile.
func (d *Driver) Sweep(ctx context.Context) (int, error) {
	d.mu.Lock()
	ready := d.reconciled
	d.mu.Unlock()
	if !ready {
		return 0, errNotReconciled
	}
	strays, err := d.list(ctx)
	if err != nil {
		return 0, err
	}
	tally := make(chan struct{}, len(strays))
	err = d.forEach(strays, func(each container.Summary) error {
		// It may have become ours since the list was made.
		if d.isHeld(nameOf(each)) || d.isNewer(each) {
			return nil
		}
		if err := d.removeStray(ctx, each); err != nil {
			return err
		}
		tally <- struct{}{}
		return nil
	})
	return len(tally), errors.Join(err, d.refreshForeign(ctx))
}

func (d *Driver) isNewer(found container.Summary) bool {
	id, err := parseLabels(found.Labels)
	return err == nil && id.epoch > d.options.Epoch
}

// askForSweep has the reaper, if there is one, look soon: an engine that was away is back, and what died with
// it is still there; or a removal failed.
func (d *Driver) askForSweep() {
	select {
	case d.unswept <- struct{}{}:
	default: // it was asked already
	}
}

// A Reaper sweeps from time to time, and soon after something was left over.
type Reaper struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// StartReaper starts a reaper for the driver, which must have been reconciled and must outlive it. Zero
// means [SweepInterval]. The caller closes the reaper.
func StartReaper(driver *Driver, interval time.Duration) *Reaper {
	if interval <= 0 {
		interval = SweepInterval
	}
	ctx, cancel := context.WithCancel(context.Background())
	reaper := &Reaper{cancel: cancel, ended: make(chan struct{})}
	go reaper.run(ctx, driver, interval)
	return reaper
}

func (r *Reaper) run(ctx context.Context, driver *Driver, interval time.Duration) {
	defer close(r.ended)
	wait := min(firstSweep, interval)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-driver.unswept:
			select {
			case <-ctx.Done():
				return
			case <-time.After(sweepDelay):
			}
		}
		wait = min(2*wait, interval)
		timer.Reset(wait)
		bounded, cancel := context.WithTimeout(ctx, cleanupTimeout)
		removed, err := driver.Sweep(bounded)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if removed > 0 || err != nil {
			driver.options.Log.Warn("left-over sandboxes swept", "removed", removed, "error", err)
		}
	}
}

// Close stops the reaper and waits for it.
func (r *Reaper) Close() {
	r.cancel()
	<-r.ended
}
