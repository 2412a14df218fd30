package journal

import "time"

// maxJump is how far the wall clock may run ahead of the monotonic one between two looks before it is
// taken to have been set.
const maxJump = time.Minute

// retention says which calls are old enough to be forgotten. A wall clock that is set forward makes every
// call look old, and what is forgotten can be run again: then nothing is forgotten until as much time
// has gone by as calls are kept.
type retention struct {
	looked bool
	wall   time.Time     // at the last look
	steady time.Duration // likewise, on the monotonic clock
	hold   time.Duration // nothing is forgotten before this
}

// cutoff returns the time before which calls are forgotten, and whether any are. wall is the time without
// its monotonic reading, steady the monotonic time that went by since some moment.
func (r *retention) cutoff(wall time.Time, steady time.Duration) (before time.Time, ok bool) {
	if r.looked && wall.Sub(r.wall)-(steady-r.steady) > maxJump {
		r.hold = steady + keepFor
	}
	r.looked, r.wall, r.steady = true, wall, steady
	return wall.Add(-keepFor), steady >= r.hold
}
