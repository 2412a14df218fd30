package quota

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sandgate/sandgate/gateway/store"
)

// keep looks after the accounts until the end.
func (l *Ledger) keep() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	flushed, forgot := time.Now(), time.Time{}
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		l.refresh()
		now := time.Now()
		if now.Sub(flushed) >= flushEvery {
			l.flush(now)
			flushed = now
		}
		if now.Sub(forgot) >= forgetEvery {
			l.forget(now)
			forgot = now
		}
		for _, a := range l.all() {
			a.enforce()
			a.writeHeader()
		}
	}
}

func (l *Ledger) all() []*Account {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Collect(maps.Values(l.accounts))
}

// refresh takes up what the operator has changed.
func (l *Ledger) refresh() {
	generation := l.settings.Generation()
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation == l.generation {
		return
	}
	l.generation = generation
	clear(l.limits)
	for name, a := range l.accounts {
		if !a.token {
			a.limits.Store(l.limitsOf(name))
		}
	}
}

// flush writes what was used, learns what others used, and begins a new window when it is time.
func (l *Ledger) flush(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	accounts := l.all()
	taken := make(map[*Account]Amounts)
	var rows []store.Usage
	for _, a := range accounts {
		if amounts := a.take(); amounts != (Amounts{}) {
			taken[a] = amounts
			rows = append(rows, store.Usage{Account: a.name, Window: time.Unix(a.window.Load(), 0), Amounts: amounts})
		}
	}
	if len(rows) > 0 {
		if err := l.store.AddUsage(ctx, rows); err != nil { // it stays in fresh, and is written next time
			l.log.Error("cannot write what was used", "accounts", len(rows), "err", err)
			return
		}
		for a, amounts := range taken {
			a.written(amounts)
		}
	}
	window := windowOf(now)
	if l.begin(window) || len(rows) > 0 {
		l.learn(ctx, window)
	}
}

// begin moves tenants to a window and tells whether it is another one.
func (l *Ledger) begin(window time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if window.Equal(l.window) {
		return false
	}
	l.window = window
	maps.DeleteFunc(l.kept, func(name string, _ Amounts) bool { return !isToken(name) }) // a token's window is its life
	for _, a := range l.accounts {
		if !a.token {
			a.window.Store(window.Unix())
			for r := range resources {
				a.kept[r].Store(0)
			}
		}
	}
	return true
}

// learn reads the sums, which other gateways may have added to.
func (l *Ledger) learn(ctx context.Context, window time.Time) {
	rows, err := l.store.UsageSince(ctx, "", window)
	if err != nil {
		l.log.Error("cannot read what was used", "err", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.kept)
	for _, row := range rows {
		a := l.accounts[row.Account]
		switch {
		case a == nil: // so far nobody has come here with it, but to another gateway
			l.kept[row.Account] = row.Amounts
		case a.window.Load() == row.Window.Unix():
			for r, n := range row.Amounts {
				a.kept[r].Store(n)
			}
		}
	}
}

func isToken(name string) bool { return strings.HasPrefix(name, tokenPrefix) }

// forget drops what is old, and accounts that nobody uses.
func (l *Ledger) forget(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := l.store.ForgetUsage(ctx, now.Add(-keepUse)); err != nil {
		l.log.Warn("cannot forget old use", "err", err)
	}
	results, err := l.store.KeptResults(ctx)
	if err != nil {
		l.log.Warn("cannot read how much is kept", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.results = results
	}
	for name, a := range l.accounts {
		expires, token := l.expiries[name]
		switch {
		case token && now.After(expires) && a.take() == (Amounts{}):
			delete(l.accounts, name)
			delete(l.expiries, name)
		case !token && err == nil:
			a.results.Store(results[name])
		}
	}
}

// take returns what is not in the store.
func (a *Account) take() Amounts {
	var amounts Amounts
	for r := range resources {
		amounts[r] = a.fresh[r].Load()
	}
	return amounts
}

// written notes that it is now. In between it counts twice, which refuses too much and not too little.
func (a *Account) written(amounts Amounts) {
	for r, n := range amounts {
		a.kept[r].Add(n)
		a.fresh[r].Add(-n)
	}
}
