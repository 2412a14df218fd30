package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Bounds of what is logged of calls that failed.
const (
	maxLines = 10 // of one kind within a window
	window   = time.Second
	maxKinds = 1000 // at once; of more, those that come last share one
)

// kind is what makes log lines alike.
type kind struct{ code, procedure, key string }

// lineRate bounds how many lines of one kind the log gets, so that a client cannot fill a disk by failing fast.
// What is left out is counted, and the count logged.
type lineRate struct {
	log *slog.Logger

	mu     sync.Mutex
	counts map[kind]int // within the present window; guarded by mu
	timer  *time.Timer  // ends the window; nil while there is none; guarded by mu
}

// allow tells whether a line is to be logged.
func (r *lineRate) allow(k kind) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[kind]int)
		r.timer = time.AfterFunc(window, r.turn)
	}
	if _, known := r.counts[k]; !known && len(r.counts) >= maxKinds {
		k = kind{code: "many"}
	}
	r.counts[k]++
	return r.counts[k] <= maxLines
}

// turn ends the window and logs what was left out in it.
func (r *lineRate) turn() {
	r.mu.Lock()
	counts := r.counts
	r.counts, r.timer = nil, nil
	r.mu.Unlock()
	for k, n := range counts {
		if n > maxLines {
			r.log.LogAttrs(context.Background(), slog.LevelWarn, "calls like those before were not logged", slog.String("procedure", k.procedure),
				slog.String("code", k.code), slog.String("key", k.key), slog.Int("calls", n-maxLines), slog.Duration("within", window))
		}
	}
}

// close logs what was left out last.
func (r *lineRate) close() {
	r.mu.Lock()
	timer := r.timer
	r.mu.Unlock()
	if timer != nil && timer.Stop() {
		r.turn()
	}
}
