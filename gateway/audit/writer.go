package audit

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// run writes what is queued, until the end. While that fails it tries again, less and less often.
func (l *Log) run() {
	defer close(l.done)
	pause := time.Duration(0)
	for ending := false; !ending; {
		if pause > 0 {
			ending = l.sleep(pause)
		} else {
			ending = l.await()
		}
		if err := l.flush(); err != nil {
			pause = min(max(firstRetry, 2*pause), lastRetry)
			continue
		}
		pause = 0
	}
}

// await returns when something is to be written, or with true at the end. Unless somebody waits for
// it, more is let come.
func (l *Log) await() (ending bool) {
	counts := time.NewTimer(l.opts.countEvery)
	defer counts.Stop()
	select {
	case <-l.stop:
		return true
	case <-counts.C:
	case <-l.wake:
	}
	gather := time.NewTimer(l.opts.gather)
	defer gather.Stop()
	select {
	case <-l.stop:
		return true
	case <-l.hurry:
	case <-gather.C:
	}
	return false
}

// sleep lets time go by, or returns true at the end.
func (l *Log) sleep(pause time.Duration) (ending bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-l.stop:
		return true
	case <-timer.C:
		return false
	}
}

// flush writes until nothing is queued, or a write fails.
func (l *Log) flush() error {
	for {
		entries, events := l.batch()
		if len(events) == 0 {
			return nil
		}
		if err := l.write(len(entries), events); err != nil {
			return err
		}
	}
}

// batch returns the next entries of the queue, and the events to write for them: what is to be said of
// the log itself comes first.
func (l *Log) batch() (entries []entry, events []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, event := range l.refused.take(time.Now(), l.opts.countEvery) {
		l.queue = append(l.queue, entry{event: event})
	}
	if failed := l.failing.Load(); failed != nil {
		events = append(events, Event{Kind: Resumed, Detail: "since " + failed.since.UTC().Format(timeLayout) + ": " + failed.err.Error()})
	}
	if l.missed > 0 {
		events = append(events, Event{Kind: Missed, Count: l.missed})
	}
	entries = l.queue[:min(len(l.queue), batchMost)]
	for _, e := range entries {
		events = append(events, e.event)
	}
	return entries, events
}

// write makes one write of events, the last ones of which are those at the front of the queue.
func (l *Log) write(entries int, events []Event) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
	defer cancel()
	l.begun.Store(int64(time.Since(l.base)))
	written, err := l.chain.append(ctx, events)
	l.begun.Store(0)
	if err != nil {
		l.failed(entries, err)
		return err
	}
	at := l.chain.at
	l.head.Store(&at)
	if l.failing.Swap(nil) != nil {
		l.log.Info("the audit log can be written again")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	own := len(events) - entries // of the log itself
	for _, event := range events[:min(own, written)] {
		if event.Kind == Missed {
			l.missed -= event.Count
		}
	}
	l.leave(max(0, written-own))
	return nil
}

// failed tells whoever waits for entries at the front of the queue that they cannot be written, and
// keeps the others.
func (l *Log) failed(entries int, err error) {
	now := &failure{fmt.Errorf("%w: %w", ErrUnavailable, err), time.Now()}
	before := l.failing.Load()
	if before != nil {
		now.since = before.since
	}
	l.failing.Store(now)
	if before == nil {
		l.log.Error("the audit log cannot be written: calls with side effects are refused until it can", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(l.queue[:entries]), func(e entry) bool {
		if e.told != nil {
			e.told <- now.err
		}
		return e.told != nil
	})
	l.queue = append(kept, l.queue[entries:]...)
	l.waiting.Store(int64(len(l.queue)))
}

// leave removes entries at the front of the queue that are durable. The caller holds mu.
func (l *Log) leave(entries int) {
	for _, e := range l.queue[:entries] {
		if e.told != nil {
			e.told <- nil
		}
	}
	l.queue = slices.Delete(l.queue, 0, entries)
	l.waiting.Store(int64(len(l.queue)))
}
