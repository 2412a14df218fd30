package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/gateway/failpoint"
)

// A plan is how one life of the gateway ends.
type plan struct {
	// point is where it kills itself. Empty: it is ended from outside.
	point failpoint.Point
	// nth is at which passage of the point.
	nth int
	// signal ends it from outside: SIGKILL, or SIGTERM for a drain.
	signal syscall.Signal
	// after is how long there is load before that.
	after time.Duration
	// churn is how many of a hundred steps of the load delete a session.
	churn int
}

// The longest that a load lasts before a kill, and the usual part of steps that delete a session.
const (
	longestLoad = 400 * time.Millisecond
	usualChurn  = 3
	muchChurn   = 25
)

// plans returns how so many lives end: at each failpoint once where there are lives enough, one in ten
// by SIGTERM, the rest by SIGKILL at random, in random order.
func plans(count int, chance *rand.Rand) []plan {
	var all []plan
	for _, point := range failpoint.Points() {
		all = append(all, atPoint(point, chance))
	}
	for len(all) < count {
		p := plan{signal: syscall.SIGKILL, after: time.Duration(chance.Int64N(int64(longestLoad))), churn: usualChurn}
		if len(all)%10 == 0 {
			p.signal = syscall.SIGTERM
		}
		all = append(all, p)
	}
	chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:count]
}

// atPoint is a life that ends at a failpoint.
func atPoint(point failpoint.Point, chance *rand.Rand) plan {
	p := plan{point: point, nth: 1, signal: syscall.SIGKILL, after: longestLoad / 2, churn: usualChurn}
	switch {
	case p.is("drain"):
		p.signal = syscall.SIGTERM
	case p.is("call") && point != failpoint.CallNote:
		p.nth += chance.IntN(10)
	case p.is("commit"):
		p.nth += chance.IntN(30)
	case p.is("session"), p.is("delete"):
		p.nth += chance.IntN(2)
		p.churn = muchChurn
	}
	return p
}

// is tells whether the plan's point is of a kind, which is what its name begins with.
func (p plan) is(kind string) bool {
	return p.point != "" && slices.Contains([]string{kind, kind + "s"}, strings.SplitN(string(p.point), "-", 2)[0])
}

// arming is what the gateway's environment says for the plan.
func (p plan) arming() string {
	if p.point == "" {
		return ""
	}
	return fmt.Sprintf("%s=kill@%d", p.point, p.nth)
}

func (p plan) String() string {
	switch {
	case p.point != "":
		return p.arming()
	case p.signal == syscall.SIGTERM:
		return "SIGTERM"
	default:
		return "SIGKILL"
	}
}
