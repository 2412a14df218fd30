package guest

import (
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// filesNote tells the reader what to do about too many files.
const filesNote = "It made more files than the session may hold, and was ended with everything else that ran. Remove some, or create a session that may hold more."

// fileSlack is by how many files the limit may be exceeded before anybody is ended for it. The guest keeps to
// the limit by itself, within what calls make at once; so more is the work of what the user runs.
const fileSlack = 64

// fileWatch keeps the number of files within bounds. gVisor bounds the bytes of a tmpfs but not its files, keeps
// each in memory that nobody inside can see, and dies of a million. Where the system bounds them, nothing is
// watched.
type fileWatch struct {
	limit  int64
	places []string
	last   [8]int64    // how many each place held when last looked at
	blamed atomic.Bool // what was killed last was killed for its files
}

// tooMany reports whether a place holds too many files and their number still grows. A place that
// is merely full does no harm, and whoever removes files there must not be stopped.
func (w *fileWatch) tooMany() bool {
	grown := false
	for i, place := range w.places {
		used, ok := filesIn(place)
		if w.limit <= 0 || i >= len(w.last) || !ok {
			continue
		}
		grown = grown || (used > w.limit+fileSlack && used > w.last[i])
		w.last[i] = used
	}
	return grown
}

// room returns ENOSPC where no other file may be made at a path, as a system does that bounds them.
func (w *fileWatch) room(path string) error {
	if w.limit <= 0 {
		return nil
	}
	for _, place := range w.places {
		if path != place && !strings.HasPrefix(path, place+"/") {
			continue
		}
		if used, ok := filesIn(place); ok && used >= w.limit {
			return unix.ENOSPC
		}
	}
	return nil
}

// filesIn returns how many files a file system holds.
func filesIn(place string) (int64, bool) {
	var fs unix.Statfs_t
	if unix.Statfs(place, &fs) != nil {
		return 0, false
	}
	return int64(fs.Files) - int64(fs.Ffree), true
}

// room returns ENOSPC where the user may make no other file at a path.
func (g *Guest) room(path string) error {
	if g.memory.info == nil { // the system sees to it
		return nil
	}
	return g.memory.files.room(path)
}

// note says to whoever was killed what there was too much of.
func (m *memoryWatch) note() string {
	if m.files.blamed.Load() {
		return filesNote
	}
	return memoryNote
}
