package guest

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// walked is an entry that a walk came by.
type walked struct {
	in   directory // that it is in, open until the walk goes on
	name string
	path string
	rel  string // the path below the root
	stat unix.Stat_t
	// err is why nothing is known of it but its name.
	err error
}

// mode returns the type bits of an entry, zero if they are not known.
func (w walked) mode() uint32 { return w.stat.Mode & unix.S_IFMT }

// open opens a regular file that the walk has just come by. Neither a FIFO nor a device makes it wait, and a
// symbolic link that took the file's place is not followed.
func (w walked) open() (*os.File, error) {
	fd, err := unix.Openat(int(w.in), w.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), w.path)
	var stat unix.Stat_t
	if err = unix.Fstat(fd, &stat); err == nil && stat.Mode&unix.S_IFMT != unix.S_IFREG {
		err = unix.ENXIO // it was another when the walk came by
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
