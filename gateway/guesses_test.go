package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Whoever names too many ids that are not there is refused for a moment, also with one that is; others are not.
func TestGuessesAreBounded(t *testing.T) {
	h := newHouse(t, nil)
	id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
	as := func(key, id string) error {
		h.mu.RLock()
		defer h.mu.RUnlock()
		guesser := *identity.Anyone()
		guesser.ID = key
		_, err := h.usable(&guesser, id)
		return err
	}
	refused := 0
	for range 3 * maxGuesses { // within a few milliseconds
		if err := as("guesser", newSessionID()); connect.CodeOf(err) == connect.CodeResourceExhausted {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
	if err := as("somebody else", id); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

func TestGuessesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guesses
		for range maxGuesses {
			if err := g.check("a"); err != nil {
				t.Fatal(err)
			}
			g.miss("a")
		}
		wantError(t, g.check("a"), connect.CodeResourceExhausted, ReasonTooManyGuesses)
		if err := g.check("b"); err != nil {
			t.Errorf("another key: %v", err)
		}
		<-time.After(guessWindow + 1)
		if err := g.check("a"); err != nil || g.crowded.Load() {
			t.Errorf("in the next window: %v", err)
		}
	})
}
