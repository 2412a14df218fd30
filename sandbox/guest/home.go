package guest

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// home is the user's home, which is held open. It stays usable whatever the user's code does to it:
// its owner may take every permission from itself, and then nothing could be started or written any
// more, by anybody, since the guest may not pass by permissions either.
type home struct {
	fd int
	// device is the file system of the home, which is known to hold files.
	device uint64
}

func openHome(path string) (home, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return home{}, fmt.Errorf("the home %s: %w", path, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		_ = unix.Close(fd)
		return home{}, fmt.Errorf("the home %s: %w", path, err)
	}
	return home{fd, stat.Dev}, nil
}

// owned are the owner's permission bits.
const owned = 0o700

// locked reports whether the home's owner may not read it, write to it or enter it, and its mode.
func (h home) locked() (mode uint32, locked bool) {
	var stat unix.Stat_t
	if err := unix.Fstat(h.fd, &stat); err != nil {
		return 0, false
	}
	return stat.Mode & 0o7777, stat.Mode&owned != owned
}

// unlock gives the home's owner its permissions back, and reports whether it lacked some. It must be
// called as the user: the guest has not the capability to do it for another.
func (h home) unlock() bool {
	mode, locked := h.locked()
	return locked && unix.Fchmod(h.fd, mode|owned) == nil
}

func (h home) close() { _ = unix.Close(h.fd) }

// asUser does fn as the user. It does it again if it was refused for the state of the home, so that fn
// must have done nothing when it returns EACCES.
func (g *Guest) asUser(ctx context.Context, fn func() error) error {
	return g.user.do(ctx, func() error {
		err := fn()
		if errors.Is(err, unix.EACCES) && g.home.unlock() {
			err = fn()
		}
		return err
	})
}

// unlockHome makes the home usable before something starts in it.
func (g *Guest) unlockHome(ctx context.Context) {
	if _, locked := g.home.locked(); locked {
		_ = g.user.do(ctx, func() error { g.home.unlock(); return nil }) // what starts says what it lacks
	}
}
