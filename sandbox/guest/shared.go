package guest

import (
	"context"

	"golang.org/x/sys/unix"
)

// maxSegments bounds the numbers that are tried. gVisor counts segments up from one.
const maxSegments = 1 << 16

// removeShared removes the user's System V shared memory. It outlives the processes that made it,
// and so would fill a sandbox for good. The profile of package docker has no such calls; this is for
// gVisor, which has them, and nothing that lists the segments.
func removeShared(ctx context.Context, u user) {
	_ = u.do(ctx, func() error {
		for id := 1; id < maxSegments; id++ {
			_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		}
		return nil
	})
}

// fileWatch notices that somebody makes more files than are allowed. gVisor bounds the bytes of a
// tmpfs but not its files, keeps each in memory that nobody inside can see, and dies of a million.
type fileWatch struct {
	limit  int64
	places []string
	last   [8]int64 // how many each place held when last looked at
}

// tooMany reports whether a place holds too many files and their number still grows. A place that
// is merely full does no harm, and whoever removes files there must not be stopped.
func (w *fileWatch) tooMany() bool {
	grown := false
	for i, place := range w.places {
		var fs unix.Statfs_t
		if w.limit <= 0 || i >= len(w.last) || unix.Statfs(place, &fs) != nil {
			continue
		}
		used := int64(fs.Files) - int64(fs.Ffree)
		grown = grown || (used > w.limit && used > w.last[i])
		w.last[i] = used
	}
	return grown
}
