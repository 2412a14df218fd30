package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// ReasonTooManyGuesses is that of calls of a key that names too much that is not there. It is part of the API.
const ReasonTooManyGuesses = "TOO_MANY_UNKNOWN_IDS"

// Bounds of guessing.
const (
	maxGuesses  = 1000 // ids that are not there, of one key within a window
	guessWindow = time.Second
)

// guesses bound how many ids a key may name that are not there: beyond, its calls that name one are refused
// for what is left of a second, whether it is there or not. Ids have 128 bits, so that nobody finds one; this
// says so to who tries, and spares the gateway the work. A call that names what is there costs one load.
type guesses struct {
	crowded atomic.Bool // somebody has named too many

	mu     sync.Mutex
	counts map[string]int // by key, within the present window; guarded by mu
	ends   time.Time      // when that ends; guarded by mu
}

// check refuses a call of a key that has named too much.
func (g *guesses) check(key string) error {
	if !g.crowded.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.turn(); g.counts[key] < maxGuesses {
		return nil
	}
	err := Errorf(connect.CodeResourceExhausted, ReasonTooManyGuesses, "Use ids that the gateway gave you, and stop using those of what has ended.",
		"more than %d ids within %s were of nothing that there is", maxGuesses, guessWindow)
	err.Meta().Set(retryAfterHeader, "1")
	return err
}

// miss counts an id that was of nothing.
func (g *guesses) miss(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn()
	if g.counts[key]++; g.counts[key] >= maxGuesses {
		g.crowded.Store(true)
	}
}

// turn begins a window where the last has ended. The caller holds mu.
func (g *guesses) turn() {
	if now := time.Now(); now.After(g.ends) {
		g.counts, g.ends = map[string]int{}, now.Add(guessWindow)
		g.crowded.Store(false)
	}
}
