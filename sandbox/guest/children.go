package guest

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// A process that has ended counts as one of the user's until its parent waits for it, and the parent
// of what cells start is the kernel: a fork bomb that was killed, or code that never waits, would
// leave a session in which nothing can be started. Some such children are left to whoever started
// them, as in any Python program, for a Popen that finds its child gone makes an exit code up. Where
// they are too many the kernel is asked to wait for all, and to give those objects what it was told.

// deadShare is the part of the processes that a session may have which may be ended children of one
// kernel.
const deadShare = 4

// lookAfter is how long cells run before the kernel's children are looked at: what many short cells
// leave is found as soon as what one long cell does, and a short one does not pay for it.
const lookAfter = 20 * time.Millisecond

// maxDead returns how many ended children a kernel may have.
func maxDead() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &limit) != nil {
		return math.MaxInt
	}
	return int(min(limit.Cur/deadShare, math.MaxInt32))
}

// dead returns how many children of the kernel have ended and not been waited for. It is zero where
// there are so few processes that these cannot be too many.
func (k *kernel) dead() (count int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return 0
	}
	names, _ := dir.Readdirnames(-1)
	closeAll(dir)
	if len(names) <= k.guest.maxDead {
		return 0
	}
	parent := strconv.Itoa(k.pid)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if fields := statFields(statPath(pid)); len(fields) > 1 && fields[0] == "Z" && fields[1] == parent {
			count++
		}
	}
	return count
}

// reap has the kernel wait for its ended children, until these are not too many any more: some of those
// that were killed may take a moment to end.
func (k *kernel) reap() (err error) {
	_ = k.wire.conn.SetDeadline(time.Now().Add(reapLimit))
	for err == nil && k.dead() > k.guest.maxDead {
		order := reapOrder{Op: "reap", Key: k.keys.Uint64()}
		if err = k.wire.send(order); err == nil {
			_, err = k.hear(order.Key)
		}
	}
	_ = k.wire.conn.SetDeadline(time.Time{})
	return err
}

// buryDead sees to the kernel's ended children, and says in the result what was done. It reports
// whether the kernel has to be replaced, as it does not wait for them.
func (c *cell) buryDead(result *sandgatev1.RunResult) (replace bool) {
	k := c.kernel
	k.unlooked += time.Since(c.started)
	if k.unlooked < lookAfter && c.why == 0 {
		return false
	}
	k.unlooked = 0
	count := k.dead()
	if count <= k.guest.maxDead {
		return false
	}
	note := fmt.Sprintf("%d child processes had ended and nobody had waited for them; they count against the session's limit", count)
	if k.reap() != nil {
		result.StateLost = true
		addNote(result, note+", and the Python process does not clear them away.")
		return true
	}
	addNote(result, note+", and were cleared away.")
	return false
}
