// Package journal makes a call that carries its caller's id run at most once: it is written down
// before it is run, and its result before anybody is told. The same call made again joins it or gets
// what is written; nothing is ever run again.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sandgate/sandgate/gateway/store"
)

// Bounds of a journal.
const (
	defaultMaxRunning = 512
	keepFor           = 24 * time.Hour
	sweepEvery        = 10 * time.Minute
	storeTimeout      = 10 * time.Second
	forcedEnd         = 3 * time.Second // for calls to end once they are cancelled
)

// What becomes of a call that is not run.
var (
	// ErrConflict is returned where another request had the same id.
	ErrConflict = errors.New("another call has this call_id")
	// ErrLost is returned for a call that began, and of which nobody knows how it ended.
	ErrLost = errors.New("the gateway lost sight of this call: it may have run, in part or whole")
	// ErrNotKept is returned for a call that ended and whose result could not be written down. Asking
	// for it again tries that again.
	ErrNotKept = errors.New("the call has ended, and its result could not be kept")
	// ErrBusy is returned where too many calls run. Nothing was run.
	ErrBusy = errors.New("too many calls run")
	// ErrClosed is returned once the gateway ends. Nothing was run.
	ErrClosed = errors.New("the gateway is stopping")
	// ErrReserved is returned for an id that only the gateway gives.
	ErrReserved = errors.New("a call_id does not begin with " + idPrefix)
	// ErrUnknown is returned where a tenant has no such call.
	ErrUnknown = errors.New("no such call")
	// ErrUnwritten is wrapped where a call could not be written down. Nothing was run.
	ErrUnwritten = errors.New("the call could not be written down")
)

// Store is where calls are written down. *store.DB is one.
type Store interface { //nolint:interfacebloat // one table, and whoever has it has all of it
	// BeginCall keeps a call, or returns the one with the same CallID.
	BeginCall(ctx context.Context, call store.Call) (kept store.Call, began bool, err error)
	// EndCall keeps how a call ended.
	EndCall(ctx context.Context, call store.Call) error
	// RecordCalls keeps calls that have ended.
	RecordCalls(ctx context.Context, calls []store.Call) error
	// Call returns a call by either of its names, or store.ErrNotFound.
	Call(ctx context.Context, tenant, id string) (store.Call, error)
	// Calls lists calls without their results, the newest first.
	Calls(ctx context.Context, filter store.CallFilter) ([]store.Call, error)
	// RunningCalls returns the calls of this gateway that have not ended, with their requests.
	RunningCalls(ctx context.Context) ([]store.Call, error)
	// ForgetCalls removes calls from before a time.
	ForgetCalls(ctx context.Context, before time.Time) error
}

// A Journal knows every call. Its methods may be called by any number of goroutines. Drain it.
type Journal struct {
	store Store
	log   *slog.Logger
	most  int

	mu     sync.Mutex
	live   map[name]*Live // by the caller's id; guarded by mu
	byID   map[name]*Live // by ours; guarded by mu
	closed bool           // guarded by mu

	notes   notes
	running sync.WaitGroup  // calls
	keeping sync.WaitGroup  // what looks after the store
	ctx     context.Context //nolint:containedctx // ends when calls must
	end     context.CancelFunc
	stop    chan struct{}
}

// name is a tenant's name for a call.
type name struct{ tenant, id string }

// Options say how a journal works.
type Options struct {
	// Store is where calls are written down.
	Store Store
	// MaxRunning bounds the calls that run at once. Zero means 512.
	MaxRunning int
	// Logger gets what no caller is told. Nil means slog.Default.
	Logger *slog.Logger
}

// New opens a journal. Recover has to be called before the first call.
func New(ctx context.Context, opts Options) *Journal {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.MaxRunning == 0 {
		opts.MaxRunning = defaultMaxRunning
	}
	j := &Journal{
		store: opts.Store, log: opts.Logger, most: opts.MaxRunning,
		live: map[name]*Live{}, byID: map[name]*Live{}, notes: newNotes(), stop: make(chan struct{}),
	}
	j.ctx, j.end = context.WithCancel(context.WithoutCancel(ctx))
	j.keeping.Go(j.keep)
	return j
}

// Drain ends the journal: no call begins, and those that run may end by themselves until ctx ends.
// Then they are cancelled, and are lost. It returns when everything is written down.
func (j *Journal) Drain(ctx context.Context) error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	err := j.await(ctx)
	j.end()
	if err != nil {
		forced, cancel := context.WithTimeout(context.WithoutCancel(ctx), forcedEnd)
		defer cancel()
		_ = j.await(forced)
	}
	close(j.stop)
	j.keeping.Wait()
	return err
}

func (j *Journal) await(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		j.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d calls had not ended: %w", j.Running(), ctx.Err())
	}
}
