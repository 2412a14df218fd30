// Package docker makes sandboxes of containers of a Docker engine, with runc or gVisor's runsc beneath
// them. It is the only importer of the engine's client. A container has no network, no mounts and no
// devices: what crosses its wall is one byte stream, its attached stdin and stdout.
package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	defaultMaxCreating   = 4
	defaultOrphanTimeout = time.Minute

	// cleanupTimeout bounds each removal and each look at a dead container. Their contexts are never
	// the caller's, which may be what ended.
	cleanupTimeout = 30 * time.Second
	// createTimeout bounds the making of one sandbox, once its turn has come.
	createTimeout = 90 * time.Second
	guestTimeout  = 30 * time.Second
	// adoptTimeout bounds the taking over of one sandbox.
	adoptTimeout = 10 * time.Second
	// engineTimeout bounds every call of the engine that nothing else does.
	engineTimeout = 30 * time.Second
	// explainTimeout bounds how long the users of a dead sandbox wait for the engine to say why it died.
	explainTimeout = 1500 * time.Millisecond
	// settleTimeout is how long a Create that was given up waits for its container to be removed.
	settleTimeout = 500 * time.Millisecond
)

// A Driver makes sandboxes and knows those it holds. Its methods may be called by any number of
// goroutines.
type Driver struct {
	options  Options
	engine   *client.Client
	runtimes []string
	cgroupV1 bool
	appArmor bool
	seccomp  string
	pulse    *pulse

	creating chan struct{} // a token for each creation under way
	uids     *slots
	image    string         // the id that Options.Image had at the start; the name while there is none
	tasks    sync.WaitGroup // one for each held container
	detach   chan struct{}  // closed by Close
	unswept  chan struct{}  // has room for one: something is likely to be left over

	mu         sync.Mutex
	closed     bool                // guarded by mu
	reconciled bool                // guarded by mu
	cleaned    chan struct{}       // closed when Reconcile has removed what it did not keep; nil: nothing; guarded by mu
	names      map[string]struct{} // containers being made, held or removed by this driver; guarded by mu
}

var _ sandbox.Driver = (*Driver)(nil)

// New connects to the engine and asks what it can do. The error wraps [sandbox.ErrUnavailable] when the
// engine does not answer. The caller closes the driver.
func New(ctx context.Context, options Options) (*Driver, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	profile, err := seccompProfile()
	if err != nil {
		return nil, err
	}
	engine, err := connect(options.Host)
	if err != nil {
		return nil, err
	}
	driver := &Driver{
		options:  options,
		engine:   engine,
		seccomp:  profile,
		creating: make(chan struct{}, options.MaxCreating),
		uids:     newSlots(),
		detach:   make(chan struct{}),
		unswept:  make(chan struct{}, 1),
		names:    map[string]struct{}{},
	}
	if err := driver.learn(ctx); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	driver.pulse = startPulse(driver.Ready, driver.askForSweep, options.Log)
	return driver, nil
}

// learn asks the engine what it is.
func (d *Driver) learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	info, err := d.engine.Info(ctx)
	if err != nil {
		return d.classify("ask the engine what it is", err)
	}
	for name := range info.Runtimes {
		d.runtimes = append(d.runtimes, name)
	}
	slices.Sort(d.runtimes)
	d.cgroupV1 = info.CgroupVersion != "2"
	d.appArmor = hasSecurityOption(info.SecurityOptions, "apparmor")
	if !hasSecurityOption(info.SecurityOptions, "seccomp") {
		d.runtimes = slices.DeleteFunc(d.runtimes, func(name string) bool { return name != "runsc" })
	}
	// By id from here on: a tag may be moved while the gateway runs, its guest and ours are one build.
	d.image = d.options.Image
	if found, err := d.engine.ImageInspect(ctx, d.image); err == nil {
		d.image = found.ID
	}
	return d.refreshForeign(ctx)
}

// refreshForeign learns which uids other gateways on this engine use.
func (d *Driver) refreshForeign(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	all, err := d.engine.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", labelUID)),
	})
	if err != nil {
		return d.classify("list containers", err)
	}
	foreign := map[int]struct{}{}
	for _, each := range all {
		if d.isHeld(nameOf(each)) {
			continue
		}
		if uid, err := parseUID(each.Labels); err == nil {
			foreign[uid] = struct{}{}
		}
	}
	d.uids.setForeign(foreign)
	return nil
}

// Close lets go of every sandbox and waits until that is done. The containers stay, for the
// Reconcile of a later driver; those that must not are closed before. No other method may be called
// after it.
func (d *Driver) Close() error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.detach)
	}
	d.mu.Unlock()
	d.tasks.Wait()
	d.pulse.close()
	return d.engine.Close()
}

// hold records that the container called name is this driver's, so that no sweep takes it for a
// leftover. It reports false after Close.
func (d *Driver) hold(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.names[name] = struct{}{}
	d.tasks.Add(1)
	return true
}

func (d *Driver) letGo(name string) {
	d.mu.Lock()
	delete(d.names, name)
	d.mu.Unlock()
	d.tasks.Done()
}

func (d *Driver) isHeld(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, held := d.names[name]
	return held
}

// hasSecurityOption reports whether the engine lists the option, which it writes name=seccomp,profile=….
func hasSecurityOption(options []string, name string) bool {
	return slices.ContainsFunc(options, func(option string) bool {
		first, _, _ := strings.Cut(option, ",")
		return first == "name="+name
	})
}

// Ready returns nil if the engine answers. The error wraps sandbox.ErrUnavailable.
func (d *Driver) Ready(ctx context.Context) error {
	if _, err := d.engine.Ping(ctx); err != nil {
		return d.classify("ping the engine", err)
	}
	return nil
}
