package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	suffix  = ".jsonl"
	partial = ".new" // of a segment that is being made
	// lockPoll is how often a lock that somebody else has is asked for.
	lockPoll = 5 * time.Millisecond
	// maxTorn bounds what is looked at behind the last whole line.
	maxTorn = 1 << 20
)

// errDamaged is wrapped where the end of the log cannot be continued.
var errDamaged = errors.New("the audit log is damaged")

// segment is one file of the log.
type segment struct {
	name  string
	first uint64 // the sequence of its first record, which is in its name
}

func newSegment(first uint64) segment {
	return segment{name: fmt.Sprintf("%020d%s", first, suffix), first: first}
}

// list returns the segments of a folder, the oldest first. What is none is skipped.
func list(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []segment
	for _, entry := range entries {
		digits, ok := strings.CutSuffix(entry.Name(), suffix)
		first, err := strconv.ParseUint(digits, 10, 64)
		if s := newSegment(first); ok && err == nil && s.name == entry.Name() {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// lock locks a folder against other writers, or for a reader against writers. It is the folder itself
// that is locked, so that a copy of it needs nothing more. Closing what it returns unlocks.
func lock(ctx context.Context, dir string, how int) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("another process holds the lock of %s: %w", dir, ctx.Err()), f.Close())
		}
	}
}

// tail reads the end of a segment: where the chain has got to, and what stands behind the last whole
// line.
func tail(f io.ReaderAt, size int64) (at head, torn []byte, err error) {
	end := make([]byte, min(size, maxTorn+maxLine+1))
	if n, err := f.ReadAt(end, size-int64(len(end))); n < len(end) {
		return head{}, nil, fmt.Errorf("read the end of the audit log: %w", err)
	}
	stop := bytes.LastIndexByte(end, '\n')
	if stop < 0 || len(end)-stop-1 > maxTorn {
		return head{}, nil, fmt.Errorf("%w: its last segment has no whole line at its end", errDamaged)
	}
	line := end[:stop]
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	record, err := ParseRecord(line)
	if err != nil {
		return head{}, nil, fmt.Errorf("%w: at its end %w", errDamaged, err)
	}
	return head{record.Sequence, sumOf(line)}, end[stop+1:], nil
}

// firstKept reads from the head of a segment which record was the oldest when it was begun.
func firstKept(f io.ReaderAt, size int64) (uint64, error) {
	begin := make([]byte, min(size, maxLine))
	if n, err := f.ReadAt(begin, 0); n < len(begin) {
		return 0, fmt.Errorf("read the audit log: %w", err)
	}
	line, _, _ := bytes.Cut(begin, []byte("\n"))
	record, err := ParseRecord(line)
	if err != nil || record.Segment == nil || record.Segment.First == 0 {
		return 0, fmt.Errorf("%w: its last segment does not begin as one", errDamaged)
	}
	return record.Segment.First, nil
}

// adopt gives what root made to the folder's owner: the gateway must be able to write on what
// `sandgate key` made, which somebody may have run as root.
func adopt(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
	return nil
}

// makeFolder makes the log's folder where there is none.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return adopt(dir)
}

// syncFolder makes the names in a folder survive.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
