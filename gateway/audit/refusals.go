package audit

import (
	"context"
	"time"
)

const (
	// countEvery is how often refusals that are alike are written down.
	countEvery = time.Minute
	// maxTallies bounds the kinds of refusals that are told apart at once.
	maxTallies = 32
)

// tally counts refusals that are alike.
type tally struct {
	since time.Time // when one was last written down
	count int64     // how many have come since
}

// tallies are refusals by what they have in common.
type tallies map[Event]*tally

// Refuse writes down that a request was refused, and returns once that is durable or cannot be. Of
// those that are alike (same tenant, key, code and reason) only the first is written at
// once, and how many more there were once a minute: a flood of them fills no disk, and does not wait.
func (l *Log) Refuse(ctx context.Context, event Event) {
	event.Kind = Refused
	if !l.tally(event) {
		return
	}
	if l.Record(ctx, event) != nil {
		l.tally(event) // it is told with those that follow
	}
}

// tally counts a refusal, or returns true where it is the first of its like.
func (l *Log) tally(event Event) (first bool) {
	like := Event{Kind: Refused, Tenant: event.Tenant, Key: event.Key, Code: event.Code, Reason: event.Reason}
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.refused[like]
	if known == nil && len(l.refused) >= maxTallies {
		like = Event{Kind: Refused, Detail: "of many kinds"}
		known = l.refused[like]
	}
	if known == nil {
		l.refused[like] = &tally{since: time.Now()}
		return true
	}
	known.count++
	return false
}

// take returns the counts that are older than a time, as events, and forgets those of what has ended.
func (t tallies) take(now time.Time, older time.Duration) []Event {
	var events []Event
	for like, counted := range t {
		if now.Sub(counted.since) < older {
			continue
		}
		if counted.count == 0 {
			delete(t, like)
			continue
		}
		event := like
		event.At, event.Count = now, counted.count
		events = append(events, event)
		*counted = tally{since: now}
	}
	return events
}
