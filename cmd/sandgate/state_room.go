package main

import (
	"context"
	"fmt"
	"syscall"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway"
)

// minStateBytes is what must be free where the state folder is before something new is begun. What runs then
// has room to be written down to its end: leases, results, the write-ahead log before it is folded in.
const minStateBytes = 16 << 20

// minFreeBesidesFiles is what the files of deferred sessions leave free there, so that these cannot stop the
// gateway from writing down what happens.
const minFreeBesidesFiles = 16 * minStateBytes

// mayCreate returns an error, for the caller, where no session can be made for a tenant now.
func (g *gatewayParts) mayCreate(tenant string) error {
	if err := g.tenantsFit(tenant); err != nil {
		return err
	}
	if free, err := freeBytes(g.cfg.StateDir); err == nil && free < minStateBytes {
		return gateway.Errorf(connect.CodeResourceExhausted, gateway.ReasonStateUnavailable,
			"Nothing was made. Try again later: the operator must make room. Sessions that run are not affected.",
			"the disk of the gateway's state is full")
	}
	return nil
}

// stateHasRoom returns nil if the database answers and what is begun could be written down.
func (g *gatewayParts) stateHasRoom(ctx context.Context) error {
	if err := g.keys.db.Ready(ctx); err != nil {
		return err
	}
	free, err := freeBytes(g.cfg.StateDir)
	if err == nil && free < minStateBytes {
		err = fmt.Errorf("%d KiB are free where the state folder is, and %d MiB must be", free>>10, minStateBytes>>20)
	}
	return err
}

// freeBytes tells how much an ordinary user could still write to the file system of a folder.
func freeBytes(path string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("ask how much room %s has: %w", path, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}
