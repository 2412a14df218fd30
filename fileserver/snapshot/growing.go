package snapshot

import (
	"errors"
	"fmt"
	"os"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// roomStep is how much room is taken at a time.
	roomStep = 1 << 20
	// pieceBytes is how much is read at a time.
	pieceBytes = 256 << 10
)

// growing is an archive that is being written. Room for it is taken as it grows, as nobody knows how large it will
// be and who sends it may lie. It is used by one goroutine.
type growing struct {
	store  *Store
	file   *os.File
	tenant string
	limit  int64 // on its size
	size   int64
	taken  int64 // of the tenant's room
}

// Write adds to the archive, or writes nothing where there is no room for all of data.
func (g *growing) Write(data []byte) (int, error) {
	if g.size+int64(len(data)) > g.limit {
		return 0, errTooLarge(g.limit)
	}
	if err := g.room(int64(len(data))); err != nil {
		return 0, err
	}
	n, err := g.file.Write(data)
	g.size += int64(n)
	return n, err
}

// errTooLarge is for files that no sandbox of this size could have, but for holes in them.
func errTooLarge(limit int64) error {
	return guestrpc.NewError(connect.CodeFailedPrecondition, fmt.Errorf("the files are more than %d bytes as an archive", limit),
		"WORKSPACE_TOO_LARGE", "A file with holes counts as if it had none. Remove files that are not needed.")
}

// room has so many bytes more be there.
func (g *growing) room(more int64) error {
	for g.size+more > g.taken {
		step := int64(roomStep)
		err := g.store.opts.Room.Take(g.tenant, step)
		if err != nil { // there may be room for what is needed
			step = g.size + more - g.taken
			err = g.store.opts.Room.Take(g.tenant, step)
		}
		if err != nil {
			return err
		}
		g.taken += step
		if !g.store.disk.Has(roomStep) {
			return errDiskFull()
		}
	}
	return nil
}

// settle gives back the room that is not needed. Lasting has the archive survive a crash of the host.
func (g *growing) settle(lasting bool) error {
	g.store.opts.Room.Give(g.tenant, g.taken-g.size)
	g.taken = g.size
	if lasting {
		return g.file.Sync()
	}
	return nil
}

// errDiskFull is for the caller; whose disk it is he need not know.
func errDiskFull() error {
	return guestrpc.NewError(connect.CodeResourceExhausted, errors.New("the gateway has no room to keep the files"), "STATE_FULL",
		"Nothing was kept or changed. The operator must make room.")
}
