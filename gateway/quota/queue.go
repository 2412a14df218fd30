package quota

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Everything here is called with Turns.mu held.

// lineOf returns the line of a tenant, with the limits of now.
func (t *Turns) lineOf(a *Account, kind Kind) *line {
	found := t.tenants[a.name]
	if found == nil {
		found = &tenantTurns{name: a.name}
		for k := range found.lines {
			found.lines[k].tenant = found
		}
		t.tenants[a.name] = found
	}
	l := &found.lines[kind]
	l.limits, l.counted = a.limits.Load(), kind != Control
	return l
}

// tidy forgets a tenant without calls.
func (t *Turns) tidy(tenant *tenantTurns) {
	if tenant.all == 0 {
		delete(t.tenants, tenant.name)
	}
}

// fits tells whether a call of a line may have a place now.
func (t *Turns) fits(k *kindTurns, l *line) bool {
	free := k.places - k.taken
	switch {
	case free <= 0:
		return false
	case l.counted && l.limits.Calls > 0 && l.tenant.running >= l.limits.Calls:
		return false
	default:
		return !t.shared() || l.running < max(1, free*l.limits.weight())
	}
}

func (t *Turns) take(k *kindTurns, l *line) {
	k.taken++
	l.runs(1)
}

// runs and waits count the calls of a line that are served and that wait.
func (l *line) runs(n int) {
	l.running += int64(n)
	l.tenant.all += int64(n)
	if l.counted {
		l.tenant.running += int64(n)
	}
}

func (l *line) waits(n int) {
	l.tenant.all += int64(n)
	if l.counted {
		l.tenant.waiting += int64(n)
	}
}

// free gives a place back, and to whose turn it is.
func (t *Turns) free(k *kindTurns, l *line) {
	k.taken--
	l.runs(-1)
	for i := range t.kinds { // the tenant's own limit may have kept a call of another kind waiting
		t.dispatch(&t.kinds[i])
	}
	t.tidy(l.tenant)
}

// queue puts a call at the end of its line.
func (t *Turns) queue(k *kindTurns, l *line, w *waiter) {
	if len(l.waiters) == 0 {
		l.deficit = 0
		k.lines = append(k.lines, l)
	}
	l.waiters = append(l.waiters, w)
	l.waits(1)
}

// leave takes a call out of its line.
func (t *Turns) leave(k *kindTurns, l *line, w *waiter) {
	if i := slices.Index(l.waiters, w); i >= 0 {
		l.waiters = slices.Delete(l.waiters, i, i+1)
		l.waits(-1)
	}
	if i := slices.Index(k.lines, l); i >= 0 && len(l.waiters) == 0 {
		k.drop(i)
	}
	t.tidy(l.tenant)
}

// drop takes a line without calls out of the round.
func (k *kindTurns) drop(i int) {
	k.lines = slices.Delete(k.lines, i, i+1)
	if i < k.next {
		k.next--
	}
}

// dispatch gives free places to calls that wait, a round after another until a whole one gives none. A
// line that is kept waiting by its own limits does not save up turns.
func (t *Turns) dispatch(k *kindTurns) {
	for idle := 0; len(k.lines) > 0 && idle < len(k.lines) && k.taken < k.places; {
		if k.next >= len(k.lines) {
			k.next = 0
		}
		l := k.lines[k.next]
		if l.deficit <= 0 {
			l.deficit = l.limits.weight()
		}
		given := false
		for l.deficit > 0 && len(l.waiters) > 0 && t.fits(k, l) {
			w := l.waiters[0]
			l.waiters = l.waiters[1:]
			l.waits(-1)
			l.deficit--
			t.take(k, l)
			w.given, given = true, true
			close(w.ready)
		}
		switch {
		case len(l.waiters) == 0:
			k.drop(k.next)
			idle = 0
			continue
		case given && k.taken >= k.places && l.deficit > 0:
			return // the round stops here, and goes on with what is left of this turn
		case given:
			idle = 0
		default:
			idle++
		}
		l.deficit = 0
		k.next++
	}
}

// refusal returns why a call does not wait, nil if it does.
func (t *Turns) refusal(ctx context.Context, k *kindTurns, l *line, wait time.Duration) *Full {
	retry := min(max(minRetry, wait), time.Minute)
	deadline, bounded := ctx.Deadline()
	switch {
	case l.counted && l.tenant.waiting >= l.limits.QueueLimit() || int64(len(l.waiters)) >= l.limits.QueueLimit():
		return &Full{Why: fmt.Sprintf("%d calls of this tenant are served and %d wait already", l.tenant.running, l.tenant.waiting), Retry: retry}
	case bounded && k.held.samples >= minSamples && time.Until(deadline) < wait:
		return &Full{Why: fmt.Sprintf("the call would wait for about %s, longer than its deadline allows", wait.Round(time.Millisecond)), Retry: retry}
	case wait > maxWait:
		return &Full{Why: fmt.Sprintf("the call would wait for about %s", wait.Round(time.Second)), Retry: retry}
	default:
		return nil
	}
}

// estimate tells how long the next call of a line is likely to wait: for those before it, at the rate
// at which places become free, of which the line has its share.
func (t *Turns) estimate(k *kindTurns, l *line) time.Duration {
	if k.held.samples < minSamples || k.taken == 0 {
		return 0
	}
	weights, mine := int64(0), l.limits.weight()
	for _, other := range k.lines {
		if other != l {
			weights += other.limits.weight()
		}
	}
	serving := float64(k.taken) * float64(mine) / float64(weights+mine)
	if k.taken < k.places || serving < float64(l.running) { // its own places are what it waits for
		serving = float64(max(1, l.running))
	}
	seconds := k.held.value * float64(len(l.waiters)+1) / serving
	return time.Duration(min(seconds, time.Hour.Seconds()) * float64(time.Second))
}
