// Package sandbox says what a sandbox is: what it is made from, what bounds it, how one talks to
// what runs inside, and how a pool of warm ones is kept. It knows no engine and no wire; a folder
// below it adapts one engine each.
package sandbox

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// GuestURL is the base URL under which a sandbox's services answer through its Transport. The host
// name means nothing: the transport has exactly one peer.
const GuestURL = "http://guest"

// ErrUnavailable is wrapped by errors that say that no sandbox could be made because the engine
// does not answer or has no room. Trying again later may help.
var ErrUnavailable = errors.New("sandbox engine unavailable")

// ErrLost is wrapped by [Sandbox.Err] when a sandbox ended without being closed: its engine, its
// guest or its memory gave out.
var ErrLost = errors.New("sandbox lost")

// ErrMemory is wrapped, beside [ErrLost], by [Sandbox.Err] when the host ended the sandbox because it
// was out of memory.
var ErrMemory = errors.New("sandbox out of memory")

// ErrClosed is wrapped by [Sandbox.Err] once Close has been called.
var ErrClosed = errors.New("sandbox closed")

// Spec says what sandbox is wanted. Two equal specs are interchangeable, which is what lets a pool
// keep some ready.
type Spec struct {
	// Template names what the sandbox starts with: "python" or "data".
	Template string
	// Runtime is the OCI runtime that isolates it: "runc" or "runsc".
	Runtime string
	// Limits bound it. A zero field means the default.
	Limits Limits
	// Deferred asks for a sandbox that is made when something first runs in it. A driver that cannot defer
	// makes it at once.
	Deferred bool `json:",omitempty"`
}

// A Sandbox is an isolated place in which untrusted code runs. Its methods may be called by any
// number of goroutines.
type Sandbox interface {
	// ID names the sandbox to its engine. It never changes.
	ID() string
	// Spec returns what the sandbox was made from, defaults filled in.
	Spec() Spec
	// Transport carries HTTP/2 requests to the guest inside, addressed to [GuestURL]. It fails at
	// once when the sandbox has ended.
	Transport() http.RoundTripper
	// Done is closed when the sandbox has ended, for whatever reason.
	Done() <-chan struct{}
	// Err returns nil until Done is closed, then an error that wraps [ErrClosed] or [ErrLost].
	Err() error
	// Close kills everything inside, frees every resource and returns when that is done or ctx
	// ends; in the latter case the engine's reaper finishes the work. Calls after the first wait
	// for the same end.
	Close(ctx context.Context) error
}

// Usage is what a sandbox uses, as its host counts it.
type Usage struct {
	// CPU is the processor time that it has used since it was made.
	CPU time.Duration
	// MemoryBytes is the memory that it holds now, files in memory included.
	MemoryBytes int64
	// Asked tells that the engine had to be asked, which has other work: look more seldom.
	Asked bool
}

// A Meter is a sandbox whose use can be measured, and weighed against that of others, from outside. Its
// methods may be called by any number of goroutines.
type Meter interface {
	// Usage returns what the sandbox uses. It fails where the sandbox has ended.
	Usage(ctx context.Context) (Usage, error)
	// SetCPUShare tells the host how the sandbox stands to others. It fails where the host cannot be told.
	SetCPUShare(share CPUShare) error
}

// ErrBusy is wrapped by the error of [Releaser.Release] where something goes on in the sandbox.
var ErrBusy = errors.New("sandbox busy")

// A Releaser is a sandbox that can go on without what runs in it.
type Releaser interface {
	// Release keeps the files and ends everything else, until something runs again. Where it fails nothing is changed;
	// its error wraps [ErrBusy] where a call is being answered.
	Release(ctx context.Context) error
	// Made tells whether there is a sandbox now.
	Made() bool
}

// CPUShare is how a sandbox stands to others that want the host's processors.
type CPUShare struct {
	// Weight is from 2 to 262,144. Sandboxes are made with 1,024.
	Weight int
	// Aside keeps the sandbox off one processor of the host in eight, and one at least, so that whoever
	// works little finds it free. It does nothing on a host with a single processor, or whose cgroups
	// have no cpuset.
	Aside bool
}

// A Driver makes sandboxes. Its method may be called by any number of goroutines.
type Driver interface {
	// Create makes a sandbox whose guest answers. If it fails, or ctx ends first, nothing is left
	// behind. Errors that may pass wrap [ErrUnavailable].
	Create(ctx context.Context, spec Spec) (Sandbox, error)
}

// DriverFunc is a function that is a [Driver].
type DriverFunc func(ctx context.Context, spec Spec) (Sandbox, error)

// Create calls f.
func (f DriverFunc) Create(ctx context.Context, spec Spec) (Sandbox, error) { return f(ctx, spec) }
