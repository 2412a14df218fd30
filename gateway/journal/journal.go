// Package journal makes a call that carries its caller's id run at most once: it is written down
// before it is run, and its result before anybody is told. The same call made again joins it or gets
// what is written; nothing is ever run again.
package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// idPrefix begins the names that the journal gives to calls, and no name that a caller gives.
const idPrefix = "call_"

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

// A Request is a call that is to run at most once.
type Request struct {
	// Tenant is whose call it is, CallID its name for it.
	Tenant, CallID string
	// SessionID is where it works, Tool what it calls.
	SessionID, Tool string
	// Hash is that of everything that makes the call what it is.
	Hash []byte
	// Body is what the gateway after this one needs to take the call up. Empty: it cannot.
	Body []byte
}

// Run does the work of a call, of which it is given what was written down. Its ctx ends when the call
// is cancelled, not when its caller leaves. It gives emit what happens on the way, each with how many
// events at the beginning of the call were missed so far.
type Run func(ctx context.Context, call store.Call, emit func(missed int64, progress *structpb.Struct)) Outcome

// An Outcome is how a call ended: in a result or in a failure.
type Outcome struct {
	// Lost says that nobody knows how it ended.
	Lost bool
	// Kept, where it is not nil, is called once it is written down.
	Kept func()
	// Result is what it produced. Nil after a failure. It must not be changed.
	Result *sandgatev1.CallToolResponse
	// Failure is the error that it ended in.
	Failure *sandgatev1.CallError
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

// Begin runs a call, unless it was begun before: then it joins it, or finds how it ended. What it
// returns can be followed; began tells whether run is called. ctx bounds nothing but the wait for the store; its values are the call's.
func (j *Journal) Begin(ctx context.Context, req Request, run Run) (l *Live, began bool, err error) {
	if strings.HasPrefix(req.CallID, idPrefix) {
		return nil, false, ErrReserved
	}
	l, first, err := j.claim(req)
	if err != nil || !first {
		return l, false, err
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	kept, began, err := j.write(within, l.row)
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrUnwritten, err)
		l.refuse(err)
	case !began:
		l.replay(kept, req.Hash)
	}
	if !began || err != nil {
		j.forget(l)
		j.running.Done()
		return l, false, err
	}
	go j.run(context.WithoutCancel(ctx), l, run)
	return l, true, nil
}

// write writes a call down before it is run.
func (j *Journal) write(ctx context.Context, row store.Call) (kept store.Call, began bool, err error) {
	if err := failpoint.Fail(failpoint.CallBegin); err != nil {
		return store.Call{}, false, err
	}
	kept, began, err = j.store.BeginCall(ctx, row)
	failpoint.Reach(failpoint.CallBegun)
	return kept, began, err
}

// claim returns the call of a request that runs, or one that is the caller's to run.
func (j *Journal) claim(req Request) (l *Live, first bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := name{req.Tenant, req.CallID}
	if l := j.live[key]; l != nil {
		if !bytes.Equal(l.row.Hash, req.Hash) {
			return nil, false, ErrConflict
		}
		return l, false, nil
	}
	switch {
	case j.closed:
		return nil, false, ErrClosed
	case len(j.live) >= j.most:
		return nil, false, ErrBusy
	}
	l = newLive(j, store.Call{
		Tenant: req.Tenant, ID: NewID(), CallID: req.CallID, SessionID: req.SessionID, Tool: req.Tool, Hash: req.Hash,
		Request: req.Body, State: store.CallRunning, CreatedAt: time.Now(),
	})
	j.list(l)
	return l, true, nil
}

// list adds a call that runs. The caller holds mu.
func (j *Journal) list(l *Live) {
	j.live[name{l.row.Tenant, l.row.CallID}], j.byID[name{l.row.Tenant, l.row.ID}] = l, l
	j.running.Add(1)
}

// NewID returns the gateway's name for a call.
func NewID() string { return idPrefix + strings.ToLower(rand.Text()) }

// run runs a call and writes down how it ended.
func (j *Journal) run(ctx context.Context, l *Live, run Run) {
	defer j.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(j.ctx, cancel)()
	defer context.AfterFunc(l.cancelled, cancel)()
	outcome := run(ctx, l.row, l.emit)
	failpoint.Reach(failpoint.CallRan)
	l.end(outcome, outcome.Lost || j.ctx.Err() != nil && outcome.Result == nil)
	if err := l.keep(); err != nil {
		j.log.Error("the result of a call could not be kept", "call", l.row.ID, "err", err)
	} else if outcome.Kept != nil {
		outcome.Kept()
	}
}

// forget drops a call that is written down.
func (j *Journal) forget(l *Live) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.live, name{l.row.Tenant, l.row.CallID})
	delete(j.byID, name{l.row.Tenant, l.row.ID})
}

// find returns a call that runs here, by either of its names, nil for none.
func (j *Journal) find(tenant, id string) *Live {
	j.mu.Lock()
	defer j.mu.Unlock()
	if l := j.byID[name{tenant, id}]; l != nil {
		return l
	}
	return j.live[name{tenant, id}]
}

// Attach returns a call that can be followed, running or not. ErrUnknown: there is none, or it did
// not carry an id of its caller's and so nothing was kept.
func (j *Journal) Attach(ctx context.Context, tenant, id string) (*Live, error) {
	if l := j.find(tenant, id); l != nil {
		return l, nil
	}
	row, err := j.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if row.CallID == "" {
		return nil, ErrUnknown
	}
	l := newLive(j, row)
	l.replay(row, row.Hash)
	return l, nil
}

// Cancel tells a call that runs to end, and whether there was one.
func (j *Journal) Cancel(tenant, id string) bool {
	l := j.find(tenant, id)
	if l == nil || l.over() {
		return false
	}
	l.cancel()
	return true
}

// Get returns a call by either of its names. ErrUnknown: there is none.
func (j *Journal) Get(ctx context.Context, tenant, id string) (store.Call, error) {
	row, err := j.store.Call(ctx, tenant, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Call{}, ErrUnknown
	}
	return row, err
}

// List lists calls without their results, the newest first.
func (j *Journal) List(ctx context.Context, filter store.CallFilter) ([]store.Call, error) {
	return j.store.Calls(ctx, filter)
}

// Running tells how many calls run that carry their callers' ids.
func (j *Journal) Running() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.live)
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
