package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// maxShown bounds the broken promises that are printed; all are counted.
const maxShown = 40

// figures are what was counted. Its methods may be called by any number of goroutines.
type figures struct {
	mu                                             sync.Mutex
	killed, atPoints, terminated, keyCommands      int
	sent, accepted, ended, lost, doubled, repeated int // calls with a call_id
	sessions, sessionsLost, unclaimed, orphans     int
	serving, ready, cold                           []time.Duration
	breaches                                       int
	// over tells that the trial was interrupted: what fails from then on says nothing.
	over  func() bool
	shown []string
}

// count changes figures.
func (f *figures) count(change func(*figures)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// broken notes a promise that was not kept.
func (f *figures) broken(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over() {
		return
	}
	if f.breaches++; len(f.shown) < maxShown {
		f.shown = append(f.shown, fmt.Sprintf(format, args...))
	}
}

// verdict is an error where a promise was broken.
func (f *figures) verdict() error {
	if f.breaches > 0 {
		return fmt.Errorf("%d promises were broken", f.breaches)
	}
	return nil
}

func (f *figures) print(out io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, breach := range f.shown {
		_, _ = fmt.Fprintln(out, "BROKEN:", breach)
	}
	for _, row := range []struct {
		what  string
		value any
	}{
		{"gateways killed", f.killed},
		{"  of them at a failpoint", f.atPoints},
		{"gateways ended by SIGTERM under load", f.terminated},
		{"key commands killed", f.keyCommands},
		{"calls with a call_id", f.sent},
		{"  accepted", f.accepted},
		{"  ended", f.ended},
		{"  told to be lost", f.lost},
		{"  run twice", f.doubled},
		{"  sent again after a restart", f.repeated},
		{"sessions acknowledged", f.sessions},
		{"  told to be lost", f.sessionsLost},
		{"  made, and the caller died unanswered", f.unclaimed},
		{"orphan containers 5 s after a start or at an end", f.orphans},
		{"serving calls after a start, p50 / p99 / max", spread(f.serving)},
		{"ready with sessions taken over, p50 / p99 / max", spread(f.ready)},
		{"ready without, its first sandbox made", spread(f.cold)},
		{"promises broken", f.breaches},
	} {
		_, _ = fmt.Fprintf(out, "%-50s %v\n", row.what, row.value)
	}
}

// spread writes the middle, the 99th of a hundred and the longest of some times.
func spread(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(times))
	at := func(percent int) time.Duration {
		return sorted[min(len(sorted)-1, len(sorted)*percent/100)].Round(time.Millisecond)
	}
	return fmt.Sprintf("%s / %s / %s of %d", at(50), at(99), at(100), len(sorted))
}
