package store

import (
	"sync"

	"golang.org/x/sys/unix"
)

// ledger counts what a workspace holds, with what was reserved for what is being written.
type ledger struct {
	mu     sync.Mutex
	limits Limits
	bytes  int64 // guarded by mu
	files  int64 // guarded by mu
}

func (l *ledger) usage() Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Limits{Bytes: l.bytes, Files: l.files}
}

// take reserves room, or returns ENOSPC and reserves nothing.
func (l *ledger) take(bytes, files int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Compared by what is left, which cannot overflow as a sum of hostile sizes does.
	if bytes > 0 && l.limits.Bytes > 0 && bytes > l.limits.Bytes-l.bytes {
		return unix.ENOSPC
	}
	if files > 0 && l.limits.Files > 0 && files > l.limits.Files-l.files {
		return unix.ENOSPC
	}
	if l.limits.Disk != nil && !l.limits.Disk.Has(max(bytes, 0)) {
		return unix.ENOSPC
	}
	l.bytes += bytes
	l.files += files
	return nil
}

// give returns room.
func (l *ledger) give(bytes, files int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes -= bytes
	l.files -= files
}

// gone returns the room of a name that was removed, as it was described before.
func (l *ledger) gone(stat unix.Stat_t) {
	if isType(stat, unix.S_IFDIR) || stat.Nlink > 1 {
		l.give(0, 1)
		return
	}
	l.give(stat.Size, 1)
}

// claim is the room that one piece of work has reserved. It is used by one goroutine.
type claim struct {
	ledger       *ledger
	bytes, files int64
}

func (c *claim) take(bytes, files int64) error {
	if err := c.ledger.take(bytes, files); err != nil {
		return err
	}
	c.bytes += bytes
	c.files += files
	return nil
}

// keep leaves the room taken: what it was reserved for is there now.
func (c *claim) keep() { c.bytes, c.files = 0, 0 }

// release returns what was not kept.
func (c *claim) release() {
	c.ledger.give(c.bytes, c.files)
	c.keep()
}
