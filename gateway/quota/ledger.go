package quota

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sandgate/sandgate/gateway/store"
)

const (
	tickEvery    = 500 * time.Millisecond // for limits, headers and what is used up
	flushEvery   = 2 * time.Second        // so much use is forgotten by a gateway that is killed
	forgetEvery  = time.Hour
	keepUse      = 31 * 24 * time.Hour
	storeTimeout = 10 * time.Second
	tokenPrefix  = "token:" // begins the names of tokens' accounts, and no tenant's
)

// Store keeps what was used. *store.DB is one.
type Store interface {
	// AddUsage adds to what was used.
	AddUsage(ctx context.Context, used []store.Usage) error
	// UsageSince returns what was used in windows from a time on, of one account or, where that is
	// empty, of all.
	UsageSince(ctx context.Context, account string, since time.Time) ([]store.Usage, error)
	// ForgetUsage removes windows from before a time.
	ForgetUsage(ctx context.Context, before time.Time) error
	// KeptResults returns how many bytes of results are kept, by tenant.
	KeptResults(ctx context.Context) (map[string]int64, error)
}

// Settings says what the operator has said of tenants. *identity.Keyring is one.
type Settings interface {
	// Settings returns the limits of a tenant as JSON, nil for none.
	Settings(tenant string) []byte
	// Generation is another number when Settings may return something else.
	Generation() int64
}

// A Ledger has the account of every tenant. Its methods may be called by any number of goroutines.
// Close it.
type Ledger struct {
	store    Store
	settings Settings
	log      *slog.Logger

	mu         sync.RWMutex
	accounts   map[string]*Account  // by name; guarded by mu
	kept       map[string]Amounts   // of accounts that nobody has asked for yet; guarded by mu
	window     time.Time            // the present one; guarded by mu
	expiries   map[string]time.Time // of tokens, by name; guarded by mu
	generation int64                // of the limits; guarded by mu
	limits     map[string]*Limits   // as read, by tenant; guarded by mu
	results    map[string]int64     // kept, by tenant, when last looked at; guarded by mu

	stop    chan struct{}
	running sync.WaitGroup
}

// NewLedger reads what was used in this hour. A nil log means slog.Default.
func NewLedger(ctx context.Context, uses Store, settings Settings, log *slog.Logger) (*Ledger, error) {
	if log == nil {
		log = slog.Default()
	}
	l := &Ledger{
		store: uses, settings: settings, log: log, accounts: map[string]*Account{}, kept: map[string]Amounts{},
		expiries: map[string]time.Time{}, limits: map[string]*Limits{}, window: windowOf(time.Now()),
		generation: settings.Generation(), stop: make(chan struct{}),
	}
	rows, err := uses.UsageSince(ctx, "", l.window)
	if err != nil {
		return nil, fmt.Errorf("read what was used: %w", err)
	}
	for _, row := range rows {
		l.kept[row.Account] = row.Amounts
	}
	if l.results, err = uses.KeptResults(ctx); err != nil {
		return nil, fmt.Errorf("read what is kept: %w", err)
	}
	l.running.Go(l.keep)
	return l, nil
}

// Close writes what was used since the last time.
func (l *Ledger) Close() {
	close(l.stop)
	l.running.Wait()
	l.flush(time.Now())
}

func windowOf(t time.Time) time.Time { return t.UTC().Truncate(Window) }

// Account returns the account of a tenant.
func (l *Ledger) Account(tenant string) *Account {
	l.mu.RLock()
	a := l.accounts[tenant]
	l.mu.RUnlock()
	if a != nil {
		return a
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.accounts[tenant]; a != nil {
		return a
	}
	a = newAccount(tenant, l.limitsOf(tenant))
	a.results.Store(l.results[tenant])
	l.open(a, l.window)
	return a
}

// A Budget is what a token may use over its life. Zero fields do not bound.
type Budget struct {
	// Calls, CPUSeconds and OutputBytes bound what is done with the token, and with those made of it.
	Calls, CPUSeconds, OutputBytes int64
}

// Token returns the account of a token, which lasts until it expires.
func (l *Ledger) Token(id string, budget Budget, expires time.Time) *Account {
	name := tokenPrefix + id
	l.mu.RLock()
	a := l.accounts[name]
	l.mu.RUnlock()
	if a != nil {
		return a
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.accounts[name]; a != nil {
		return a
	}
	a = newAccount(name, &Limits{CPUSeconds: budget.CPUSeconds, OutputBytes: budget.OutputBytes})
	a.token, a.calls = true, budget.Calls
	l.expiries[name] = expires
	l.open(a, expires)
	return a
}

// open lists a new account. The caller holds mu.
func (l *Ledger) open(a *Account, window time.Time) {
	a.window.Store(window.Unix())
	for r, n := range l.kept[a.name] {
		a.kept[r].Store(n)
	}
	delete(l.kept, a.name)
	a.writeHeader()
	l.accounts[a.name] = a
}

// limitsOf returns the limits of a tenant, its own or everyone's. Those that cannot be read allow
// nothing. The caller holds mu.
func (l *Ledger) limitsOf(tenant string) *Limits {
	if read := l.limits[tenant]; read != nil {
		return read
	}
	text := l.settings.Settings(tenant)
	if text == nil {
		text = l.settings.Settings(Everyone)
	}
	limits, err := ParseLimits(text)
	if err != nil {
		l.log.Error("the limits of a tenant cannot be read: it may begin nothing", "tenant", tenant, "err", err)
		limits.unreadable = true
	}
	l.limits[tenant] = &limits
	return &limits
}

// Accounts returns the accounts of the tenants that were seen, in no order.
func (l *Ledger) Accounts() []*Account {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var all []*Account
	for _, a := range l.accounts {
		if !a.token {
			all = append(all, a)
		}
	}
	return all
}

// History returns what a tenant used by the hour since a time, oldest first, as far as that is written.
func (l *Ledger) History(ctx context.Context, tenant string, since time.Time) ([]store.Usage, error) {
	return l.store.UsageSince(ctx, tenant, since)
}
