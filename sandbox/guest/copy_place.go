package guest

import (
	"errors"
	"io/fs"
	"path/filepath"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

// look returns what is to be copied, in an open directory, if it can be copied to the destination.
func (c *copying) look(destination string, overwrite bool) (walked, error) {
	in, name, err := c.guest.parent(c.source)
	if err != nil {
		return walked{}, err
	}
	e := walked{in: in, name: name, path: c.source}
	if e.stat, err = in.statIn(name); err == nil {
		err = c.fits(e, destination, overwrite)
	}
	if err == nil {
		err = c.guest.makeDirectories(filepath.Dir(destination))
	}
	if err != nil {
		in.close()
		return walked{}, err
	}
	return e, nil
}

// fits reports why an entry cannot be copied to a place: it is there already, or the place is in it.
func (c *copying) fits(e walked, destination string, overwrite bool) error {
	to, err := c.guest.openDirectory(filepath.Dir(destination), toUse)
	for above := filepath.Dir(destination); errors.Is(err, unix.ENOENT) && above != "/"; {
		above = filepath.Dir(above)
		to, err = c.guest.openDirectory(above, toUse)
		destination = "" // there is nothing yet
	}
	if err != nil {
		return err
	}
	defer func() { to.close() }()
	if destination != "" {
		stat, err := to.statIn(filepath.Base(destination))
		switch {
		case errors.Is(err, unix.ENOENT):
		case err != nil:
			return err
		case stat.Dev == e.stat.Dev && stat.Ino == e.stat.Ino:
			return errOntoItself(e.path)
		case !overwrite:
			return fs.ErrExist
		}
	}
	if e.mode() != unix.S_IFDIR {
		return nil
	}
	for previous := (unix.Stat_t{}); ; {
		stat, err := to.stat()
		switch {
		case err != nil:
			return err
		case stat.Dev == e.stat.Dev && stat.Ino == e.stat.Ino:
			return errOntoItself(e.path)
		case stat.Dev == previous.Dev && stat.Ino == previous.Ino: // "/"
			return nil
		}
		fd, err := unix.Openat(int(to), "..", toUse|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		to.close()
		to, previous = directory(fd), stat
	}
}

func errOntoItself(path string) error {
	return fail(connect.CodeInvalidArgument, "COPY_ONTO_ITSELF", "choose a destination outside of it", "%q cannot be copied onto or into itself", path)
}
