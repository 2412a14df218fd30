package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sandgate/sandgate/gateway/identity"
)

const (
	// askEvery is how often an issuer is asked at most, whatever its tokens say.
	askEvery = 10 * time.Second
	// askAfter is the age at which keys are asked for again, while they still serve.
	askAfter = 10 * time.Minute
	// trustFor is the age beyond which keys are no longer believed: the issuer may have withdrawn them.
	trustFor = 24 * time.Hour
	// maxWaiting bounds the requests that wait for an issuer's answer.
	maxWaiting = 64
)

// errNoKey is returned where an issuer has no key of that name.
var errNoKey = errors.New("the issuer has no such key")

// keys are those of an issuer, asked for when they are needed. Methods may be called by any number of
// goroutines.
type keys struct {
	issuer string
	// ask gets the keys from the issuer. Its context ends with the verifier.
	ask func(ctx context.Context) ([]jose.JSONWebKey, error)
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex
	known   []jose.JSONWebKey // replaced and never changed; guarded by mu
	read    time.Time         // when they were asked for; guarded by mu
	asked   time.Time         // when the issuer was asked last; guarded by mu
	err     error             // of that; guarded by mu
	asking  chan struct{}     // closed when the issuer has answered; nil: it is not being asked; guarded by mu
	waiting int               // requests that wait for that; guarded by mu

	ctx     context.Context //nolint:containedctx // its own life: what is asked serves every caller
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newKeys(issuer string, ask func(context.Context) ([]jose.JSONWebKey, error), now func() time.Time, log *slog.Logger) *keys {
	ctx, stop := context.WithCancel(context.Background())
	return &keys{issuer: issuer, ask: ask, now: now, log: log, ctx: ctx, stop: stop}
}

// Close ends a question that is under way.
func (k *keys) Close() {
	k.stop()
	k.running.Wait()
}

// find returns the keys that a token may be signed with: those of an id, all where it is empty. Its
// errors are errNoKey and those that wrap [identity.ErrAway].
func (k *keys) find(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if found := k.named(id); len(found) > 0 {
		if k.now().Sub(k.read) > askAfter {
			k.askAgain()
		}
		return found, nil
	}
	answered := k.askAgain()
	if answered == nil {
		return k.answer(id)
	}
	if k.waiting >= maxWaiting {
		return nil, fmt.Errorf("%w: too many wait for %s", identity.ErrAway, k.issuer)
	}
	k.waiting++
	k.mu.Unlock()
	select {
	case <-answered:
	case <-ctx.Done():
	}
	k.mu.Lock()
	k.waiting--
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", identity.ErrAway, context.Cause(ctx))
	}
	return k.answer(id)
}

// answer returns the keys of an id after the issuer was asked. The caller holds mu.
func (k *keys) answer(id string) ([]jose.JSONWebKey, error) {
	found := k.named(id)
	switch {
	case len(found) > 0:
		return found, nil
	case k.err != nil:
		return nil, fmt.Errorf("%w: the issuer %s gives no keys", identity.ErrAway, k.issuer)
	default:
		return nil, errNoKey
	}
}

// named returns the keys of an id that are believed, all of them where it is empty. The caller holds mu.
func (k *keys) named(id string) []jose.JSONWebKey {
	if k.now().Sub(k.read) > trustFor {
		return nil
	}
	if id == "" {
		return k.known
	}
	var found []jose.JSONWebKey
	for _, key := range k.known {
		if key.KeyID == id {
			found = append(found, key)
		}
	}
	return found
}

// askAgain has the issuer asked, unless that was done just now. It returns what is closed once it has
// answered, nil where it is not asked. The caller holds mu.
func (k *keys) askAgain() <-chan struct{} {
	now := k.now()
	switch {
	case k.asking != nil:
		return k.asking
	case !k.asked.IsZero() && now.Sub(k.asked) < askEvery || k.ctx.Err() != nil:
		return nil
	}
	answered := make(chan struct{})
	k.asked, k.asking = now, answered
	k.running.Go(func() {
		fresh, err := k.ask(k.ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if err != nil {
			k.log.Warn("an issuer gives no keys; those that it gave go on serving", "issuer", k.issuer, "keys", len(k.known), "err", err)
		} else {
			k.known, k.read = fresh, now
		}
		k.err, k.asking = err, nil
		close(answered)
	})
	return answered
}
