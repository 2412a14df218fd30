package quota

import (
	"fmt"
	"strings"
	"time"
)

// The headers in which replies tell what is left, as draft-ietf-httpapi-ratelimit-headers-10 has them:
// `"cpu_seconds";r=3510;t=1200` is what remains and for how many seconds.
const (
	// PolicyHeader holds the limits.
	PolicyHeader = "Ratelimit-Policy"
	// LeftHeader holds what is left of each.
	LeftHeader = "Ratelimit"
)

// Headers returns the values of [PolicyHeader] and [LeftHeader] as they were half a second ago at most,
// false where the account has no limits.
func (a *Account) Headers() (policy, left string, ok bool) {
	texts := a.header.Load()
	if texts == nil {
		return "", "", false
	}
	return (*texts)[0], (*texts)[1], true
}

// writeHeader makes the headers, so that no call has to.
func (a *Account) writeHeader() {
	var policy, left []string
	limits := a.limits.Load()
	for l := range levels {
		if limit := l.limit(limits); limit > 0 {
			policy = append(policy, fmt.Sprintf("%q;q=%d", l, limit))
			left = append(left, fmt.Sprintf("%q;r=%d", l, max(0, limit-a.Level(l))))
		}
	}
	reset := int64(a.reset(time.Now()).Seconds())
	for r := range resources {
		limit := a.limit(r)
		if limit == 0 {
			continue
		}
		rest := max(0, limit-a.used(r)) / r.unit()
		if a.token { // for as long as it lasts
			policy = append(policy, fmt.Sprintf("%q;q=%d", r, limit/r.unit()))
			left = append(left, fmt.Sprintf("%q;r=%d", r, rest))
			continue
		}
		policy = append(policy, fmt.Sprintf("%q;q=%d;w=%d", r, limit/r.unit(), int64(Window.Seconds())))
		left = append(left, fmt.Sprintf("%q;r=%d;t=%d", r, rest, reset))
	}
	if len(policy) == 0 {
		a.header.Store(nil)
		return
	}
	a.header.Store(&[]string{strings.Join(policy, ", "), strings.Join(left, ", ")})
}
