// Package audit keeps a record of who did what: an append-only log of lines of JSON, each of which
// holds the hash of the one before, so that a line that was changed, removed, added or moved is found.
// Several processes may write to one log.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of a log.
const (
	// DefaultBytes is what all segments may have on the disk where nothing is said.
	DefaultBytes = 256 << 20
	// MinBytes is the least that they may be given.
	MinBytes = 4 << 20

	maxSegment  = 16 << 20
	minSegments = 16 // of a log that is full
	// maxWaiting is how many events may wait until the log asks for no more of them. Calls that run
	// then still find room: there are not so many.
	maxWaiting = 4096
	maxQueued  = 4 * maxWaiting
	batchMost  = 512 // events

	gatherFor   = 20 * time.Millisecond // for events to be written together
	writeLimit  = 5 * time.Second       // for the folder's lock; a disk that takes longer is given up
	recordLimit = 10 * time.Second
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 2 * time.Second
)

// ErrUnavailable is wrapped while events cannot be written down.
var ErrUnavailable = errors.New("the audit log cannot be written")

// Options say how a log is kept. Dir must be set.
type Options struct {
	// Dir is the folder of the log. It is made where there is none; the one above must be there.
	Dir string
	// MaxBytes bounds all segments together: the oldest are removed. Zero means [DefaultBytes], less
	// than [MinBytes] means that.
	MaxBytes int64
	// Logger is told when the log cannot be written, and when it can again. Nil means slog.Default.
	Logger *slog.Logger

	open       openFile      // nil: os.OpenFile
	gather     time.Duration // zero: gatherFor
	countEvery time.Duration // zero: countEvery
}

// A Log is an open audit log. Its methods may be called by any number of goroutines. None of them
// holds a lock while something is written. Close it.
type Log struct {
	opts  Options
	log   *slog.Logger
	chain *chain // used by the writer alone
	base  time.Time

	mu      sync.Mutex
	queue   []entry // not durable yet; guarded by mu
	missed  int64   // events for which there was no room; guarded by mu
	refused tallies // guarded by mu
	closed  bool    // guarded by mu

	waiting atomic.Int64            // length of the queue
	failing atomic.Pointer[failure] // of the last write; nil: it did not fail
	begun   atomic.Int64            // nanoseconds after base when the write that runs began; zero: none runs
	head    atomic.Pointer[head]

	wake  chan struct{} // there is something to write
	hurry chan struct{} // somebody waits for it
	stop  chan struct{}
	done  chan struct{}
}

// entry is an event that waits to be written.
type entry struct {
	event Event
	told  chan<- error // gets how that went; nil: nobody waits
}

// failure is why the log cannot be written.
type failure struct {
	err   error
	since time.Time
}

// Open opens a log, or begins one, and writes down what it finds torn. It fails where the log cannot
// be written or is damaged at its end.
func Open(ctx context.Context, opts Options) (*Log, error) {
	opts.MaxBytes = max(cmp.Or(opts.MaxBytes, DefaultBytes), MinBytes)
	opts.gather, opts.countEvery = cmp.Or(opts.gather, gatherFor), cmp.Or(opts.countEvery, countEvery)
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.open == nil {
		opts.open = openOS
	}
	l := &Log{
		opts: opts, log: opts.Logger, base: time.Now(), refused: tallies{},
		chain: &chain{
			dir: opts.Dir, open: opts.open, log: opts.Logger,
			maxBytes: opts.MaxBytes, segment: min(maxSegment, opts.MaxBytes/minSegments),
		},
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	err := makeFolder(opts.Dir)
	if err == nil {
		_, err = l.chain.append(ctx, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	at := l.chain.at
	l.head.Store(&at)
	go l.run()
	return l, nil
}

// Note has an event written down within a moment. It never waits. Where there is no room for it, it is
// counted, and the log will say how many were missed.
func (l *Log) Note(event Event) { _ = l.put(event, nil) }

// Record returns nil once an event is durable: it survives the death of this process and of the host.
// After an error it was not written and will not be, unless ctx ended first. It waits for 10 s at most.
func (l *Log) Record(ctx context.Context, event Event) error {
	if err := l.Err(); err != nil {
		return err
	}
	told := make(chan error, 1)
	if err := l.put(event, told); err != nil {
		return err
	}
	poke(l.hurry)
	ctx, cancel := context.WithTimeout(ctx, recordLimit)
	defer cancel()
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// Err returns nil where what happens can be written down, and otherwise an error that wraps
// [ErrUnavailable]. The log becomes usable again by itself.
func (l *Log) Err() error {
	if failed := l.failing.Load(); failed != nil {
		return failed.err
	}
	if begun := l.begun.Load(); begun != 0 && time.Since(l.base)-time.Duration(begun) > writeLimit {
		return fmt.Errorf("%w: the disk does not answer", ErrUnavailable)
	}
	if l.waiting.Load() >= maxWaiting {
		return fmt.Errorf("%w: the disk is too slow", ErrUnavailable)
	}
	return nil
}

// Head returns the sequence and hash, in hex, of the last record that this log has written or found.
// Whoever keeps them elsewhere can tell later that nothing was cut off before them.
func (l *Log) Head() (sequence uint64, hash string) {
	at := l.head.Load()
	return at.sequence, at.sum.String()
}

// Close writes what is left and ends the log. It waits until that is done or ctx ends, and returns an
// error where something could not be written.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		for _, event := range l.refused.take(time.Now(), 0) {
			l.queue = append(l.queue, entry{event: event})
		}
		close(l.stop)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if left := int64(len(l.queue)) + l.missed; left > 0 {
		return fmt.Errorf("%w: %d events were not written", ErrUnavailable, left)
	}
	return nil
}

// put queues an event.
func (l *Log) put(event Event, told chan<- error) error {
	if event.At.IsZero() {
		event.At = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	if len(l.queue) >= maxQueued {
		l.missed++
		return fmt.Errorf("%w: too much waits to be written", ErrUnavailable)
	}
	l.queue = append(l.queue, entry{event, told})
	l.waiting.Store(int64(len(l.queue)))
	poke(l.wake)
	return nil
}

// poke wakes whoever waits on a channel of one, if it is not to wake up anyway.
func poke(channel chan<- struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}
