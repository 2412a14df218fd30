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
