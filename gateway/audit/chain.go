package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// maxBatch bounds what is written at once, in bytes, but for the last line.
const maxBatch = 64 << 10

// A file is what a chain needs of an *os.File.
type file interface { //nolint:interfacebloat // one thing that has all of it; tests put a faulty disk below
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// openFile opens a file as [os.OpenFile] does.
type openFile func(name string, flag int, mode fs.FileMode) (file, error)

func openOS(name string, flag int, mode fs.FileMode) (file, error) {
	return os.OpenFile(name, flag, mode)
}

// chain appends to the segments of a folder, beside whoever else does. It is used by one goroutine.
//
// Every append locks the folder, sees what others have appended since, and continues from there. So
// there is one chain, whoever writes; and a chain that was changed behind the back of a running
// gateway is continued from what the gateway remembers, so that the change shows as a break.
type chain struct {
	dir      string
	open     openFile
	maxBytes int64 // of all segments
	segment  int64 // bytes of one
	log      *slog.Logger

	known bool // at is where the chain had got to when it was last looked at
	at    head
	first uint64 // the oldest record that the log has not removed itself
	seen  seen   // the file whose end at is
	torn  *Event // what was cut off and is not written down yet
}

// seen tells whether a file has changed.
type seen struct {
	name     string
	size     int64
	modified time.Time
}

// append writes events to the disk, as many as one batch holds, and returns how many: these are
// durable. What was found torn is written down, too. After an error nothing is to be taken for written.
func (c *chain) append(ctx context.Context, events []Event) (written int, err error) {
	locked, err := lock(ctx, c.dir, syscall.LOCK_EX)
	if err != nil {
		return 0, err
	}
	defer func() { _ = locked.Close() }() // it was only locked
	segments, err := list(c.dir)
	if err != nil {
		return 0, err
	}
	f, err := c.resume(segments)
	if err == nil && f == nil {
		f, err = c.begin(segments)
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // what counts is synced
	if c.torn != nil {
		if _, err := c.write(f, []Event{*c.torn}); err != nil {
			return 0, err
		}
		c.torn = nil
	}
	if len(events) == 0 {
		return 0, nil
	}
	if c.seen.size > c.segment-maxBatch-maxLine {
		next, err := c.begin(segments)
		if err != nil {
			return 0, err
		}
		defer func() { _ = next.Close() }() // as above
		return c.write(next, events)
	}
	return c.write(f, events)
}

// resume opens the newest segment and learns where the chain has got to. It returns no file where a
// segment must be begun: there is none, or the chain was changed since this process last wrote.
func (c *chain) resume(segments []segment) (file, error) {
	if len(segments) == 0 {
		return nil, c.changed(head{}, nil)
	}
	newest := segments[len(segments)-1]
	f, err := c.open(filepath.Join(c.dir, newest.name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	now := seen{newest.name, info.Size(), info.ModTime()}
	if c.known && c.seen == now {
		return f, nil
	}
	first, err := firstKept(f, now.size)
	at, torn, tailErr := tail(f, now.size)
	if err = errors.Join(err, tailErr); err != nil && !errors.Is(err, errDamaged) {
		return nil, errors.Join(err, f.Close()) // the disk cannot be read, which says nothing of what is on it
	}
	if err != nil || c.known && (at.sequence < c.at.sequence || at.sequence == c.at.sequence && at.sum != c.at.sum) {
		return nil, errors.Join(c.changed(at, err), f.Close())
	}
	if len(torn) > 0 {
		cut := sumOf(torn)
		c.torn = &Event{Kind: Torn, Bytes: int64(len(torn)), SHA256: cut.String()}
		now.size -= int64(len(torn)) // it is written over
		c.log.Warn("the end of the audit log was torn and is cut off; a record says so", "bytes", len(torn))
	}
	c.known, c.at, c.first, c.seen = true, at, first, now
	return f, nil
}

// changed is told that the end of the log is not where this process left it. It returns an error
// where the process does not know better.
func (c *chain) changed(found head, err error) error {
	switch {
	case !c.known && err != nil:
		return err
	case c.known:
		c.log.Error("the audit log was changed by somebody else; it goes on in a new segment, and `sandgate audit verify` shows the break",
			"sequence", c.at.sequence, "found", found.sequence, "err", err)
	}
	return nil
}

// begin makes a new segment that continues the chain, and removes the oldest ones that are too much. A
// segment has its first record from the moment that it has its name.
func (c *chain) begin(segments []segment) (file, error) {
	keep, remove := c.retain(segments)
	fresh, first, at := newSegment(c.at.sequence+1), max(c.first, 1), c.at
	switch {
	case len(remove) > 0 && len(keep) > 0:
		first = keep[0].first
	case len(remove) > 0:
		first = fresh.first
	}
	line, err := at.next(Event{Kind: SegmentStart}, &Segment{Format: format, First: first})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.dir, fresh.name)
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("%w: %s is there already", errDamaged, fresh.name)
	}
	f, err := c.open(path+partial, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(line, 0)
	for _, do := range []func() error{
		f.Sync,
		func() error { return adopt(path + partial) },
		func() error { return os.Rename(path+partial, path) },
		func() error { return syncFolder(c.dir) },
	} {
		if err == nil {
			err = do()
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin a segment: %w", err), f.Close(), c.drop(path+partial))
	}
	c.known, c.at, c.first, c.seen = true, at, first, seen{name: fresh.name, size: int64(len(line))}
	for _, old := range remove {
		err = errors.Join(err, os.Remove(filepath.Join(c.dir, old.name)))
	}
	if err != nil { // they are too much of the disk, and no reason not to write
		c.log.Warn("old segments of the audit log cannot be removed", "err", err)
	}
	return f, nil
}

// drop removes a file that nobody needs, so that what it holds of a full disk is given back.
func (c *chain) drop(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// retain tells which segments stay when one more is begun.
func (c *chain) retain(segments []segment) (keep, remove []segment) {
	left := c.maxBytes - c.segment
	for i, s := range slices.Backward(segments) {
		info, err := os.Stat(filepath.Join(c.dir, s.name))
		if err == nil {
			left -= info.Size()
		}
		if left < 0 {
			return segments[i+1:], segments[:i+1]
		}
	}
	return segments, nil
}

// write appends events to a segment. Where that fails it leaves the segment as it was, if it can.
func (c *chain) write(f file, events []Event) (written int, err error) {
	at := c.at
	var batch []byte
	for _, event := range events {
		line, err := at.next(event, nil)
		if err != nil {
			return 0, err
		}
		batch = append(batch, line...)
		if written++; len(batch) >= maxBatch {
			break
		}
	}
	size := c.seen.size + int64(len(batch))
	_, err = f.WriteAt(batch, c.seen.size)
	if err == nil && c.torn != nil { // of which more may be left than was written over
		err = f.Truncate(size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		c.seen.modified = time.Time{} // look again: half of it may be there
		return 0, errors.Join(fmt.Errorf("write the audit log: %w", err), f.Truncate(c.seen.size))
	}
	c.at, c.seen.size = at, size
	if info, err := f.Stat(); err == nil {
		c.seen.modified = info.ModTime()
	}
	return written, nil
}
