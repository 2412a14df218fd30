package quota

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Kind is a kind of call. Each has places of its own, so that a flood of one kind leaves the others
// theirs: a gateway full of running code still reads files and ends sessions.
type Kind int

// The kinds of calls.
const (
	// Control is what makes, shows and ends things, and takes no time.
	Control Kind = iota
	// Run is code and commands.
	Run
	// Files is what reads and writes them.
	Files
	// Documents is what reads documents, which takes memory and processors of the gateway's own.
	Documents
	kinds
)

// String is the kind's name in metrics.
func (k Kind) String() string { return [...]string{"control", "run", "files", "documents"}[k] }

// Bounds of waiting.
const (
	maxWait    = 30 * time.Second
	minSamples = 8 // of how long calls hold their places, before anybody is told how long they will wait
	minRetry   = time.Second
)

// ErrClosed is returned to calls that wait when the gateway ends.
var ErrClosed = errors.New("no more calls are served")

// Full is the error of a call for which there is no place, and none soon enough.
type Full struct {
	// Kind is that of the call.
	Kind Kind
	// Why says what is full.
	Why string
	// Retry is when asking again may help, from now.
	Retry time.Duration
}

// Error says what is full.
func (e *Full) Error() string { return e.Why }

// Turns decide which call is served next. While there is room a call has its place at once. Where
// tenants share the gateway, none of them may take more places than it leaves free, times its weight:
// so there is always a place for whoever has taken none (the dynamic threshold of Choudhury and Hahne,
// "Dynamic queue length thresholds for shared-memory packet switches", 1998). Calls that find no place
// wait, each tenant's in a queue of its own, and places that become free go around among the tenants
// by deficit round-robin (Shreedhar and Varghese, 1996), with a call as the unit. Its methods may be
// called by any number of goroutines.
type Turns struct {
	shared func() bool

	mu      sync.Mutex
	kinds   [kinds]kindTurns
	tenants map[string]*tenantTurns // those with calls; guarded by mu
	closed  bool                    // guarded by mu
}

// kindTurns are the places of one kind.
type kindTurns struct {
	places int64
	taken  int64
	lines  []*line // tenants with calls that wait, in the order of their turns
	next   int     // whose turn it is
	held   average // how long calls hold a place
}

// tenantTurns are the calls of one tenant.
type tenantTurns struct {
	name    string
	running int64 // calls of kinds that its limits count: not Control, which ends and shows others
	waiting int64
	all     int64 // calls of every kind that are served or wait
	lines   [kinds]line
}

// line is what one tenant has of one kind.
type line struct {
	tenant  *tenantTurns
	limits  *Limits
	counted bool // its calls count for the tenant's limits
	running int64
	deficit int64
	waiters []*waiter
}

type waiter struct {
	ready chan struct{} // closed when it has its place, or the turns are closed
	given bool          // guarded by Turns.mu
}

// average is an exponentially weighted one.
type average struct {
	value   float64 // seconds
	samples int64
}

func (a *average) add(d time.Duration) {
	if a.samples++; a.samples == 1 {
		a.value = d.Seconds()
		return
	}
	a.value += (d.Seconds() - a.value) / 16
}

// NewTurns returns turns over a number of places for each kind. shared tells whether several tenants
// may come.
func NewTurns(control, run, files, documents int, shared func() bool) *Turns {
	t := &Turns{shared: shared, tenants: map[string]*tenantTurns{}}
	for kind, places := range []int{control, run, files, documents} {
		t.kinds[kind].places = int64(places)
	}
	return t
}

// A Place is the right to be served. The zero value is none. Leave it, once.
type Place struct {
	turns *Turns
	line  *line
	kind  Kind
	since time.Time
}

// Enter waits for a place. Its errors are [*Full], [*Exceeded], [ErrClosed] and ctx's. A call whose ctx
// ends before it is likely to have a place is refused at once.
func (t *Turns) Enter(ctx context.Context, account *Account, kind Kind) (Place, error) {
	t.mu.Lock()
	l := t.lineOf(account, kind)
	k := &t.kinds[kind]
	switch {
	case t.closed:
		t.tidy(l.tenant)
		t.mu.Unlock()
		return Place{}, ErrClosed
	case len(l.waiters) == 0 && t.fits(k, l):
		t.take(k, l)
		t.mu.Unlock()
		return Place{t, l, kind, time.Now()}, nil
	}
	wait := t.estimate(k, l)
	if full := t.refusal(ctx, k, l, wait); full != nil {
		t.tidy(l.tenant)
		t.mu.Unlock()
		full.Kind = kind
		return Place{}, full
	}
	w := &waiter{ready: make(chan struct{})}
	t.queue(k, l, w)
	t.mu.Unlock()
	return t.await(ctx, Place{turns: t, line: l, kind: kind}, w, wait)
}

// await waits for the turn of a call.
func (t *Turns) await(ctx context.Context, p Place, w *waiter, wait time.Duration) (Place, error) {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	var err error
	select {
	case <-w.ready:
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = &Full{Kind: p.kind, Why: "the call waited for half a minute and had no turn", Retry: max(minRetry, wait)}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case w.given && err == nil:
		p.since = time.Now()
		return p, nil
	case w.given: // a moment too late: the place goes on to the next
		t.free(&t.kinds[p.kind], p.line)
		return Place{}, err
	case err == nil:
		return Place{}, ErrClosed
	default:
		t.leave(&t.kinds[p.kind], p.line, w)
		return Place{}, err
	}
}

// Leave gives the place to the next call.
func (p Place) Leave() {
	if p.turns == nil {
		return
	}
	t := p.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	k := &t.kinds[p.kind]
	k.held.add(time.Since(p.since))
	t.free(k, p.line)
}

// Close refuses all calls from now on, those that wait included. Calls that have a place keep it.
func (t *Turns) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for i := range t.kinds {
		for _, l := range t.kinds[i].lines {
			for _, w := range l.waiters {
				close(w.ready)
			}
			l.waits(-len(l.waiters))
			l.waiters = nil
			t.tidy(l.tenant)
		}
		t.kinds[i].lines = nil
	}
}

// Count tells how many calls of a tenant are served and how many wait.
func (t *Turns) Count(tenant string) (running, waiting int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.tenants[tenant]; found != nil {
		return found.running, found.waiting
	}
	return 0, 0
}

// Counts tells how many calls of a kind are served and how many wait.
func (t *Turns) Counts(kind Kind) (running, waiting int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.kinds[kind].lines {
		waiting += int64(len(l.waiters))
	}
	return t.kinds[kind].taken, waiting
}
