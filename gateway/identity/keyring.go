package identity

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sandgate/sandgate/gateway/store"
)

// Store is where keys are kept. *store.DB is one.
type Store interface {
	// IdentityGeneration returns a number that changes with every key.
	IdentityGeneration(ctx context.Context) (int64, error)
	// Keys returns every key that was ever made.
	Keys(ctx context.Context) ([]store.Key, error)
	// Tenants returns what was said of tenants.
	Tenants(ctx context.Context) ([]store.Tenant, error)
	// TouchKeys notes when keys were used.
	TouchKeys(ctx context.Context, used map[string]time.Time) error
}

const (
	// lookEvery is how often a keyring looks for changes, so that a key is revoked within a second.
	lookEvery = 300 * time.Millisecond
	// blindAfter is how long a keyring that cannot look lets anybody in. Beyond, a revoked key might
	// be used for as long as the database is away.
	blindAfter = 10 * time.Second
	// touchEvery is how often the times of last use are written.
	touchEvery = 5 * time.Second
	lookLimit  = 5 * time.Second // for one look
	// looksSoon is how many looks a second unknown keys cause at most.
	looksSoon = 10
)

// The ways in which somebody is not let in.
var (
	// ErrNone is returned where a request brings no credentials and some are needed.
	ErrNone = errors.New("a key is needed")
	// ErrUnknown is wrapped where credentials are wrong, or have ended.
	ErrUnknown = errors.New("not let in")
	// ErrBlind is returned while it cannot be known whether a key was revoked.
	ErrBlind = errors.New("the keys cannot be read")
	// ErrAway is wrapped while whoever vouches for a caller cannot be asked.
	ErrAway = errors.New("who vouches for you cannot be asked")

	// errStranger is all that somebody learns whose credentials nobody knows.
	errStranger = fmt.Errorf("%w: this is neither a key nor a token that this gateway knows", ErrUnknown)
)

// A Keyring knows every key of a store, and learns of a change within a second. Its methods may be
// called by any number of goroutines. Close it.
type Keyring struct {
	store  Store
	pepper Pepper
	log    *slog.Logger

	known  atomic.Pointer[known]
	looked atomic.Int64 // nanoseconds after base
	base   time.Time

	soon *rate.Limiter // bounds the looks for keys that are not known

	mu   sync.Mutex
	used map[string]time.Time // keys used since they were last written; guarded by mu

	stop    context.CancelFunc
	running sync.WaitGroup
}

// NewKeyring reads the keys. It fails where they cannot be read. A nil log means slog.Default.
func NewKeyring(ctx context.Context, keys Store, pepper Pepper, log *slog.Logger) (*Keyring, error) {
	if log == nil {
		log = slog.Default()
	}
	k := &Keyring{store: keys, pepper: pepper, log: log, base: time.Now(), soon: rate.NewLimiter(looksSoon, looksSoon), used: map[string]time.Time{}}
	if err := k.look(ctx); err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	ctx, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	k.running.Go(func() { k.keep(ctx) })
	return k, nil
}

// Close stops looking for changes and writes when keys were used.
func (k *Keyring) Close() {
	k.stop()
	k.running.Wait()
	k.touch(context.Background())
}

// Open tells whether no key was ever made, so that nobody can have one. It does not become true
// again: a gateway whose last key was revoked lets nobody in.
func (k *Keyring) Open() bool { return len(k.known.Load().keys) == 0 }

// Tenants returns the names of the tenants that somebody may be let in for by a key, sorted.
func (k *Keyring) Tenants() []string { return k.known.Load().named }

// Settings returns what the operator has said of a tenant, as JSON, nil for nothing.
func (k *Keyring) Settings(tenant string) []byte { return k.known.Load().tenants[tenant].Settings }

// Generation is a number that changes when [Keyring.Settings] may.
func (k *Keyring) Generation() int64 { return k.known.Load().generation }

// Check returns whom the text of a key or token lets in from an address. Its errors are ErrUnknown,
// with a text for whoever holds the credentials, and ErrBlind.
func (k *Keyring) Check(text string, from netip.Addr) (*Principal, error) {
	return k.check(text, func(e *entry) bool { return e.reaches(from) })
}

// CheckInside is Check for a request that the gateway sends to itself, on behalf of one that was
// checked where it came in.
func (k *Keyring) CheckInside(text string) (*Principal, error) {
	return k.check(text, func(*entry) bool { return true })
}

// check is Check with what says whether a key may be used from where the request comes.
func (k *Keyring) check(text string, reaches func(*entry) bool) (*Principal, error) {
	if time.Since(k.base)-time.Duration(k.looked.Load()) > blindAfter {
		return nil, ErrBlind
	}
	now := time.Now()
	if strings.HasPrefix(text, tokenPrefix) {
		return k.checkToken(text, reaches, now)
	}
	id, secret, whole := parseKey(text)
	if !whole {
		return nil, fmt.Errorf("%w: this is not a whole key, or none of Sandgate's", ErrUnknown)
	}
	found := k.known.Load().keys[id]
	if found == nil && k.soon.Allow() { // it may have been made a moment ago
		_ = k.look(context.Background()) // else it is as unknown as before
		found = k.known.Load().keys[id]
	}
	// The hash is made for an unknown id, too, so that the time tells nothing.
	hash := k.pepper.hash(id, secret)
	if found == nil || !hmac.Equal(hash, found.key.Hash) {
		return nil, fmt.Errorf("%w: there is no such key", ErrUnknown)
	}
	if err := found.lets(reaches, now); err != nil {
		return nil, err
	}
	k.note(id, now)
	return found.principal, nil
}

func (k *Keyring) checkToken(text string, reaches func(*entry) bool, now time.Time) (*Principal, error) {
	p, ours := readToken(k.pepper, text)
	if !ours {
		return nil, fmt.Errorf("%w: there is no such token", ErrUnknown)
	}
	if !now.Before(p.Expires) {
		return nil, fmt.Errorf("%w: the token expired at %s", ErrUnknown, p.Expires.UTC().Format(time.RFC3339))
	}
	switch p.Key {
	case Vouched:
		return p, nil
	case "":
		if k.Open() {
			return p, nil
		}
		return nil, fmt.Errorf("%w: the token is from before there were keys", ErrUnknown)
	}
	found := k.known.Load().keys[p.Key]
	if found == nil {
		return nil, fmt.Errorf("%w: the key that the token goes back to is gone", ErrUnknown)
	}
	if err := found.lets(reaches, now); err != nil {
		return nil, fmt.Errorf("%w (this token goes back to it)", err)
	}
	k.note(p.Key, now)
	return p, nil
}

func (k *Keyring) note(id string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used[id] = now
}

// touch writes when keys were used.
func (k *Keyring) touch(ctx context.Context) {
	k.mu.Lock()
	used := k.used
	k.used = map[string]time.Time{}
	k.mu.Unlock()
	if len(used) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	if err := k.store.TouchKeys(ctx, used); err != nil {
		k.log.Warn("cannot write when keys were used", "keys", len(used), "err", err)
	}
}
