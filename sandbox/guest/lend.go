package guest

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// What the owner of a directory, or of a file, needs to read it.
const (
	ownerEnters = 0o700
	ownerReads  = 0o400
)

// lent is the mode of a directory that was made its owner's to read for a while. The zero value is of one that was
// so already.
type lent struct {
	mode uint32
	set  bool
}

// lend makes a directory of the user's readable to him. It must be called as the user, and whoever takes the place of
// the directory meanwhile is the user's own, too. Where it fails the directory stays as it is, and cannot be opened.
func lend(in int, name string, stat unix.Stat_t) lent {
	mode := stat.Mode & 0o7777
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR || mode&ownerEnters == ownerEnters {
		return lent{}
	}
	if unix.Fchmodat(in, name, mode|ownerEnters, 0) != nil {
		return lent{}
	}
	return lent{mode, true}
}

// back gives an open directory its mode. It must be called as the user.
func (l lent) back(fd int) {
	if l.set {
		_ = unix.Fchmod(fd, l.mode) // it may have been removed
	}
}

// backAt gives a directory its mode that could not be opened.
func (l lent) backAt(in int, name string) error {
	if !l.set {
		return nil
	}
	return unix.Fchmodat(in, name, l.mode, 0)
}

// force opens a regular file of the user's, as open does, whatever its mode.
func (w walked) force() (*os.File, error) {
	file, err := w.open()
	if !errors.Is(err, unix.EACCES) {
		return file, err
	}
	mode := w.stat.Mode & 0o7777
	if err := unix.Fchmodat(int(w.in), w.name, mode|ownerReads, 0); err != nil {
		return nil, err
	}
	if file, err = w.open(); err != nil {
		return nil, errors.Join(err, unix.Fchmodat(int(w.in), w.name, mode, 0))
	}
	return file, unix.Fchmod(int(file.Fd()), mode)
}
