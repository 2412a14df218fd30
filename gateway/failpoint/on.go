//go:build failpoints

package failpoint

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Built tells whether this program has failpoints.
const Built = true

// armed is nil until Arm; points are reached from everywhere, so there is one for the process.
var armed atomic.Pointer[map[Point]*counted] //nolint:gochecknoglobals // see above

// counted is an action, and how often its point was reached.
type counted struct {
	action
	times atomic.Int64
}

// Arm makes happen what text says, in place of what was said before. It is for the beginning of a
// program. Its error says what is wrong with the text.
func Arm(text string) error {
	actions, err := parse(text)
	if err != nil {
		return err
	}
	points := make(map[Point]*counted, len(actions))
	for point, act := range actions {
		points[point] = &counted{action: act}
	}
	armed.Store(&points)
	return nil
}

// Reach does what the point was armed for. It may be called by any number of goroutines. What it does
// is said on stderr first, so that who reads that knows whether the point was reached.
func Reach(point Point) { _ = Fail(point) }

// Fail is Reach at a point with an error to return: nil unless the point is to fail.
func Fail(point Point) error {
	points := armed.Load()
	if points == nil {
		return nil
	}
	hit := (*points)[point]
	if hit == nil || !hit.due() {
		return nil
	}
	_, _ = fmt.Fprintf(os.Stderr, "failpoint %s reached\n", point)
	switch {
	case hit.kill:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more may be done while the signal is on its way
	case hit.sleep > 0:
		time.Sleep(hit.sleep) //nolint:forbidigo // that is what was asked for
	case hit.fail:
		return fmt.Errorf("%s: %w", point, errInjected)
	}
	return nil
}

// due tells whether it happens this time.
func (c *counted) due() bool {
	n := c.times.Add(1)
	switch {
	case c.nth > 0:
		return n == c.nth
	case c.percent > 0:
		return rand.IntN(100) < c.percent //nolint:gosec // nothing is hidden by it
	default:
		return true
	}
}
