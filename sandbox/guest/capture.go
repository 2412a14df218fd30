package guest

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// spoolDir is where the whole of an output is kept that was too long to return, under the home.
const spoolDir = ".sandgate/output"

// keepFrom is the length from which on an output is kept, even where it is returned whole: a model is
// shown less than a program, some 28 KiB of each stream at least, and must find the rest.
const keepFrom = 24 << 10

// capture takes one output stream of a call: a first part is passed on, and once there is much the
// whole goes to a file of the workspace, up to a bound. What is beyond is only counted.
// One goroutine at a time may use it.
type capture struct {
	guest *Guest
	name  string // of the file, should there be one
	limit int64  // bytes to pass on
	pass  func(data []byte, offset int64)

	total  int64
	passed int64  // bytes passed on
	head   []byte // the beginning, until there is a file
	spool  *os.File
	path   string
	kept   int64 // bytes in the file
	full   bool  // nothing more is kept
}

func (c *capture) write(p []byte) {
	if inline := p[:min(int64(len(p)), c.limit-c.passed)]; len(inline) > 0 {
		c.pass(inline, c.passed)
		c.passed += int64(len(inline))
	}
	c.total += int64(len(p))
	switch {
	case c.full:
	case c.spool != nil:
		c.keep(p)
	case c.total <= min(c.limit, keepFrom):
		c.head = append(c.head, p...)
	default:
		c.openSpool()
		c.keep(p)
	}
}

// openSpool makes the file and puts the head in it. Without a file, output is counted only.
func (c *capture) openSpool() {
	dir := filepath.Join(c.guest.cfg.Home, spoolDir)
	c.path = filepath.Join(dir, c.name)
	err := c.guest.asUser(c.guest.ctx, func() error {
		if err := c.guest.room(c.path); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		fd, err := unix.Open(c.path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			c.spool = os.NewFile(uintptr(fd), c.path)
		}
		return err
	})
	if err != nil {
		c.full, c.path = true, ""
		return
	}
	c.keep(c.head)
	c.head = nil
}

func (c *capture) keep(p []byte) {
	if c.full {
		return
	}
	piece := p[:min(int64(len(p)), spoolLimit-c.kept)]
	n, err := c.spool.Write(piece)
	c.kept += int64(n)
	if err != nil || c.kept >= spoolLimit {
		c.full = true
	}
}

// finish closes the file and returns the count.
func (c *capture) finish() *sandgatev1.StreamSummary {
	if c.spool != nil {
		_ = c.spool.Close()
	}
	return &sandgatev1.StreamSummary{
		TotalBytes:   c.total,
		DroppedBytes: c.total - c.passed,
		File:         c.path,
		FileBytes:    c.kept,
	}
}

// spoolName returns a file name for one stream of one call.
func (g *Guest) spoolName(stream string) string {
	return fmt.Sprintf("%s-%d.%s", g.started.UTC().Format("20060102T150405"), g.calls.Add(1), stream)
}

// takeInline returns how much of each of its two streams a call may return, and what to call when it
// has. More than the default is granted while all calls together stay within a budget, since what a
// slow caller has not taken waits in memory; beyond, the default applies, and the file has the rest.
func (g *Guest) takeInline(wanted int64) (limit int64, release func()) {
	extra := 2 * (wanted - defaultInline)
	switch {
	case wanted <= 0:
		return defaultInline, func() {}
	case extra <= 0:
		return wanted, func() {}
	case !g.inline.TryAcquire(extra):
		return defaultInline, func() {}
	}
	return wanted, func() { g.inline.Release(extra) }
}
