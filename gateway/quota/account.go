package quota

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An Account is what one tenant, or one token, uses and may use. Its methods may be called by any number
// of goroutines; none of them waits. Levels never exceed their limits, however many ask at once.
type Account struct {
	name   string
	token  bool
	limits atomic.Pointer[Limits]
	calls  int64 // the limit of Calls; zero: none

	level   [levels]atomic.Int64
	results atomic.Int64 // bytes of results that are kept, as a part of Stored

	window atomic.Int64             // when what follows began, in seconds since 1970
	fresh  [resources]atomic.Int64  // not in the store yet
	kept   [resources]atomic.Int64  // in the store, by whichever gateway
	header atomic.Pointer[[]string] // what replies say

	mu    sync.Mutex
	stops map[*Work]struct{} // what to end when a resource is used up; guarded by mu
}

func newAccount(name string, limits *Limits) *Account {
	a := &Account{name: name, stops: map[*Work]struct{}{}}
	a.limits.Store(limits)
	return a
}

// Name is that of the tenant.
func (a *Account) Name() string { return a.name }

// Limits are those that hold now.
func (a *Account) Limits() Limits { return *a.limits.Load() }

// Reserve takes some of a level, all of it or nothing. Its error is an [*Exceeded].
func (a *Account) Reserve(l Level, n int64) error {
	level := &a.level[l]
	for {
		own := level.Load()
		used := own
		if l == Stored {
			used += a.results.Load()
		}
		if limit := l.limit(a.limits.Load()); limit > 0 && n > limit-used { // the sum might overflow
			return &Exceeded{What: l.String(), Limit: limit, Used: used, Token: a.token}
		}
		if level.CompareAndSwap(own, own+n) {
			return nil
		}
	}
}

// Hold takes some of a level although that may exceed its limit, for what is there already: a session
// that was taken over after a restart.
func (a *Account) Hold(l Level, n int64) { a.level[l].Add(n) }

// Release gives back what was reserved or held.
func (a *Account) Release(l Level, n int64) { a.level[l].Add(-n) }

// Level returns how much of a level is taken.
func (a *Account) Level(l Level) int64 {
	if l == Stored {
		return a.level[l].Load() + a.results.Load()
	}
	return a.level[l].Load()
}

// LevelLimit returns how much of a level may be taken. Zero: there is no limit.
func (a *Account) LevelLimit(l Level) int64 { return l.limit(a.limits.Load()) }

// ResourceLimit returns how much may be used up, in the unit of limits. Zero: there is no limit.
func (a *Account) ResourceLimit(r Resource) int64 { return a.limit(r) / r.unit() }

// TokenID is the id of the token whose account it is, empty for a tenant's.
func (a *Account) TokenID() string {
	if !a.token {
		return ""
	}
	return strings.TrimPrefix(a.name, tokenPrefix)
}

// Room returns an [*Exceeded] where nothing is left of a level.
func (a *Account) Room(l Level) error {
	if limit, used := a.LevelLimit(l), a.Level(l); limit > 0 && used >= limit {
		return &Exceeded{What: l.String(), Limit: limit, Used: used, Token: a.token}
	}
	return nil
}

// Keep counts bytes of a result that is kept, until the store is asked how much that is.
func (a *Account) Keep(n int64) { a.results.Add(n) }

// Charge counts what was used up. Nobody is refused by it; [Account.Check] is asked before more is begun.
func (a *Account) Charge(r Resource, n int64) {
	if n > 0 {
		a.fresh[r].Add(n)
	}
}

// Used returns what was used up in this window.
func (a *Account) Used() Amounts {
	var used Amounts
	for r := range resources {
		used[r] = a.used(r)
	}
	return used
}

// used looks at what is fresh first: what is written in between counts twice rather than not at all.
func (a *Account) used(r Resource) int64 {
	fresh := a.fresh[r].Load()
	return fresh + a.kept[r].Load()
}

// limit returns how much may be used up of a resource, in the unit in which it is counted. Zero: no
// limit.
func (a *Account) limit(r Resource) int64 {
	if r == Calls {
		return a.calls
	}
	return times(r.limit(a.limits.Load()), r.unit())
}

// times multiplies what is not less than zero. A limit that would overflow is as good as the highest.
func times(n, unit int64) int64 {
	if n > math.MaxInt64/unit {
		return math.MaxInt64
	}
	return n * unit
}

// Check returns an [*Exceeded] where something is used up, so that nothing may be begun, nil otherwise.
func (a *Account) Check() error {
	if a.limits.Load().unreadable {
		return &Exceeded{What: "limits that cannot be read"}
	}
	return a.exceeded(Calls)
}

// CheckRunning returns an [*Exceeded] where something is used up that work goes on using, nil otherwise.
// That the last call has been spent does not end it.
func (a *Account) CheckRunning() error { return a.exceeded(CPU) }

// CheckOutput returns an [*Exceeded] where no more bytes of replies may be had, nil otherwise.
func (a *Account) CheckOutput() error {
	if limit := a.limit(Output); limit > 0 && a.used(Output) >= limit {
		return &Exceeded{What: Output.String(), Limit: limit, Used: a.used(Output), Retry: a.retry(time.Now()), Token: a.token}
	}
	return nil
}

// exceeded looks at the resources from one on.
func (a *Account) exceeded(from Resource) error {
	for r := from; r < resources; r++ {
		if limit := a.limit(r); limit > 0 && a.used(r) >= limit {
			return &Exceeded{What: r.String(), Limit: limit / r.unit(), Used: a.used(r) / r.unit(), Retry: a.retry(time.Now()), Token: a.token}
		}
	}
	return nil
}

// Spend counts what is used up where there must be some left before: two who ask for the last one at
// once do not both get it. Its error is an [*Exceeded], and then nothing is counted.
func (a *Account) Spend(r Resource, n int64) error {
	limit := a.limit(r)
	if after := a.fresh[r].Add(n) + a.kept[r].Load(); limit > 0 && after > limit {
		a.fresh[r].Add(-n)
		return &Exceeded{What: r.String(), Limit: limit / r.unit(), Used: (after - n) / r.unit(), Retry: a.retry(time.Now()), Token: a.token}
	}
	return nil
}

// Refund takes back what was spent on something that was not done after all.
func (a *Account) Refund(r Resource, n int64) { a.fresh[r].Add(-n) }

// Reset tells how long this window lasts.
func (a *Account) Reset() time.Duration { return a.reset(time.Now()) }

// reset of a token, whose window is its life, is zero: it gets nothing new.
func (a *Account) reset(now time.Time) time.Duration {
	if a.token {
		return 0
	}
	return max(0, time.Unix(a.window.Load(), 0).Add(Window).Sub(now))
}

// retry tells when asking again may help. A window that is over lasts until the ledger has looked.
func (a *Account) retry(now time.Time) time.Duration {
	if a.token {
		return 0
	}
	return max(minRetry, a.reset(now))
}

// Bounded tells whether anything of the account's can be used up.
func (a *Account) Bounded() bool {
	for r := range resources {
		if a.limit(r) > 0 {
			return true
		}
	}
	return false
}
