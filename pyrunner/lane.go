package pyrunner

import (
	"errors"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// grace is how long after the last moment at which work may end the guest has to say so.
	grace = 30 * time.Second
	// maxLaneCalls bounds the calls that wait in one lane. The guest has a bound of its own, which
	// is lower; this one holds when the guest does not.
	maxLaneCalls = 256
)

// A lane is the line of calls that one kernel works off one after another. How long a call waits
// for those before it only the guest knows, so that the calls of a lane share one deadline: when
// all of them together must have ended.
type lane struct {
	mu       sync.Mutex
	deadline time.Time
}

// allow moves the deadline to where there is time for one more call.
func (l *lane) allow(limit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if earliest := time.Now().Add(grace); l.deadline.Before(earliest) {
		l.deadline = earliest
	}
	l.deadline = l.deadline.Add(limit)
}

// excuse moves the deadline by time that was not the guest's.
func (l *lane) excuse(spent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = l.deadline.Add(spent)
}

// left returns the time until the deadline.
func (l *lane) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.deadline)
}

// laneKey names a kernel: a sandbox and a context in it.
type laneKey struct{ sandboxID, contextID string }

// lanes holds the lanes that have calls in them. Its methods may be called by any number of
// goroutines.
type lanes struct {
	mu    sync.Mutex
	inUse map[laneKey]*laneUse // guarded by mu
}

// laneUse counts the calls in a lane.
type laneUse struct {
	lane  lane
	calls int
}

// enter puts one more call, which may take limit, in a lane. Who entered must leave.
func (l *lanes) enter(key laneKey, limit time.Duration) (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	use := l.inUse[key]
	if use == nil {
		if l.inUse == nil {
			l.inUse = make(map[laneKey]*laneUse)
		}
		use = &laneUse{}
		l.inUse[key] = use
	}
	if use.calls >= maxLaneCalls {
		return nil, guestrpc.NewError(connect.CodeResourceExhausted,
			errors.New("too many calls wait for this context"), "TOO_MANY_CALLS",
			"Wait for earlier calls to end, or use another context.")
	}
	use.calls++
	use.lane.allow(limit)
	return &use.lane, nil
}

// leave takes a call out of its lane.
func (l *lanes) leave(key laneKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	use := l.inUse[key]
	if use == nil {
		return
	}
	if use.calls--; use.calls == 0 {
		delete(l.inUse, key)
	}
}

// A backstop gives a call up when its lane is overdue. Time in which the caller takes an event does
// not count: a slow reader must not cost anybody a sandbox.
type backstop struct {
	lane    *lane
	giveUp  func()
	mu      sync.Mutex
	timer   *time.Timer // guarded by mu
	sending bool        // guarded by mu
	stopped bool        // guarded by mu
}

// newBackstop returns a running backstop that calls giveUp at most once. Stop must be called.
func newBackstop(line *lane, giveUp func()) *backstop {
	b := &backstop{lane: line, giveUp: giveUp}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = time.AfterFunc(line.left(), b.fire)
	return b
}

// fire gives up, or waits on when there is a reason to.
func (b *backstop) fire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.lane.left()
	switch {
	case b.stopped:
	case b.sending:
		b.timer.Reset(grace)
	case left > 0:
		b.timer.Reset(left)
	default:
		b.stopped = true
		b.giveUp()
	}
}

// during runs send, with the clock stopped. It may be called on a nil backstop.
func (b *backstop) during(send func() error) error {
	if b == nil {
		return send()
	}
	b.setSending(true)
	start := time.Now()
	err := send()
	b.lane.excuse(time.Since(start))
	b.setSending(false)
	return err
}

// setSending notes whether the caller takes an event now.
func (b *backstop) setSending(sending bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sending = sending
}

// stop ends the backstop. It may be called on a nil one, and more than once.
func (b *backstop) stop() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.timer.Stop()
}
