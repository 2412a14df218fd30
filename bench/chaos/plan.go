package main

import (
	"fmt"
	"math/rand/v2"
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
	// hasty tells that the load has no time to make its sessions first.
	hasty bool
	// faults arms points that make steps fail while there is load. Empty: none.
	faults string
	// robbed tells that a sandbox is removed while the gateway is dead, so that a session is lost.
	robbed bool
}

// The longest that a load lasts before a kill, and the usual part of steps that delete a session.
const (
	longestLoad = 400 * time.Millisecond
	usualChurn  = 3
	muchChurn   = 25
)

// faultyStore has the store fail now and then, as a full disk does.
const faultyStore = string(failpoint.CommitBegin) + "=error%20"

// plans returns lives with so many kills in them: each failpoint once where there are kills enough,
// the rest at random, and for ten of those one that ends by SIGTERM; in random order.
func plans(kills int, chance *rand.Rand) []plan {
	var all []plan
	left := kills
	for _, i := range chance.Perm(len(failpoint.Points())) {
		p := atPoint(failpoint.Points()[i], chance)
		if left < p.kills() {
			break
		}
		all = append(all, p)
		left -= p.kills()
	}
	for i := 0; left > 0; i++ {
		p := plan{
			signal: syscall.SIGKILL, after: time.Duration(chance.Int64N(int64(longestLoad))), churn: usualChurn, hasty: i%4 == 3, robbed: i%20 == 5,
		}
		if i%20 == 2 && left > 1 {
			p = plan{signal: syscall.SIGKILL, faults: faultyStore, after: longestLoad, churn: muchChurn}
		}
		all = append(all, p)
		left -= p.kills()
		if i%10 == 0 {
			all = append(all, plan{signal: syscall.SIGTERM, after: longestLoad / 2, churn: usualChurn})
		}
	}
	chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// kills is how often the gateway is killed in the plan. Whoever comes to a failpoint is killed before,
// too, so that what was checked is not what comes to it.
func (p plan) kills() int {
	switch {
	case p.is("key"):
		return 1
	case p.point != "", p.faults != "":
		return 2
	case p.signal == syscall.SIGTERM:
		return 0
	default:
		return 1
	}
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
	return p.point != "" && strings.SplitN(string(p.point), "-", 2)[0] == kind
}

// arming is what the gateway's environment says for the plan.
func (p plan) arming() string {
	if p.point == "" {
		return p.faults
	}
	return fmt.Sprintf("%s=kill@%d", p.point, p.nth)
}

func (p plan) String() string {
	switch {
	case p.point != "", p.faults != "":
		return p.arming()
	case p.signal == syscall.SIGTERM:
		return "SIGTERM"
	case p.robbed:
		return "SIGKILL and the loss of a sandbox"
	default:
		return "SIGKILL"
	}
}
