package guest

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// enter returns the directory of that name below the root, after making it and those above it as far as they
// are missing. It is the unpacking's to close. No symbolic link is followed: one that the archive brought, or
// that was there, would lead out. It must be called as the user.
func (u *unpacking) enter(name string) (directory, error) {
	if name == "." {
		return u.root, nil
	}
	if u.at >= 0 && u.atP == name {
		return u.at, nil
	}
	here := u.root
	for part := range strings.SplitSeq(name, "/") {
		below, err := here.enterable(part)
		if errors.Is(err, unix.ENOENT) {
			if err = u.guest.room(u.path); err == nil {
				err = unix.Mkdirat(int(here), part, 0o755)
			}
			if err == nil || errors.Is(err, unix.EEXIST) {
				below, err = here.enterable(part)
			}
		}
		if here != u.root {
			here.close()
		}
		if err != nil {
			return -1, err
		}
		here = below
	}
	u.at.close()
	u.at, u.atP = here, name
	return here, nil
}

// enterable opens a directory in this one, and no symbolic link to one: gVisor follows these when a directory is
// asked for, whatever else is.
func (d directory) enterable(name string) (directory, error) {
	stat, err := d.statIn(name)
	if err != nil {
		return -1, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return -1, unix.ENOTDIR
	}
	return d.open(name)
}

// makeFolder makes a directory, or uses the one that is there.
// One that its owner has closed is opened: it gets the mode of the entry in the end.
func (u *unpacking) makeFolder(name string, mode uint32) error {
	if name != "." {
		above, err := u.enter(path.Dir(name))
		if err != nil {
			return err
		}
		if stat, err := above.statIn(path.Base(name)); err == nil {
			lend(int(above), path.Base(name), stat)
		}
	}
	if _, err := u.enter(name); err != nil {
		return err
	}
	if _, ok := u.folders[name]; !ok {
		u.res.Directories++
	}
	u.folders[name] = mode
	return nil
}

// symlink makes a symbolic link in the place of what is there.
func (u *unpacking) symlink(name, target string) error {
	return u.place(name, func(in directory, beside string) error { return unix.Symlinkat(target, int(in), beside) })
}

// hardLink makes another name of a file that is in the directory.
func (u *unpacking) hardLink(name, of string) error {
	from, err := u.enter(path.Dir(of))
	if err != nil {
		return err
	}
	fd, err := unix.FcntlInt(uintptr(from), unix.F_DUPFD_CLOEXEC, 0) // the next one closes it
	if err != nil {
		return err
	}
	source := directory(fd)
	defer source.close()
	return u.place(name, func(in directory, beside string) error {
		return unix.Linkat(int(source), path.Base(of), int(in), beside, 0)
	})
}

// place has an entry made beside its place, and gives it its name.
func (u *unpacking) place(name string, create func(in directory, beside string) error) error {
	in, err := u.enter(path.Dir(name))
	if err == nil {
		err = u.guest.room(u.path)
	}
	if err != nil {
		return err
	}
	beside := ".sandgate-" + rand.Text()
	if err = create(in, beside); err == nil {
		if err = unix.Renameat(int(in), beside, int(in), path.Base(name)); err != nil {
			_ = unix.Unlinkat(int(in), beside, 0)
		}
	}
	if err != nil {
		return err
	}
	u.res.Files++
	return nil
}

// file writes a file beside its place, and gives it its name when it is whole. What is in it may take as long
// as the caller does, and is not written as the user.
func (u *unpacking) file(ctx context.Context, name string, header *tar.Header, body io.Reader) error {
	var file *os.File
	var in directory
	beside := ".sandgate-" + rand.Text()
	err := u.guest.asUser(ctx, func() error {
		place, err := u.enter(path.Dir(name))
		if err == nil {
			err = u.guest.room(u.path)
		}
		if err != nil {
			return err
		}
		fd, err := unix.Openat(int(place), beside, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		in, file = place, os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		return err
	}
	n, err := io.Copy(file, body)
	err = u.guest.user.do(u.guest.ctx, func() error { // also when the caller has left
		if err == nil {
			err = unix.Fchmod(int(file.Fd()), uint32(header.Mode&0o777))
		}
		if err == nil && header.ModTime.Unix() > 0 {
			err = setTime(in, beside, header.ModTime)
		}
		if err == nil {
			err = unix.Renameat(int(in), beside, int(in), path.Base(name))
		}
		if err != nil {
			_ = unix.Unlinkat(int(in), beside, 0)
		}
		return errors.Join(err, file.Close())
	})
	if err != nil {
		return err
	}
	u.res.Files++
	u.res.Bytes += n
	return nil
}

// setTime sets when a file was changed last.
func setTime(in directory, name string, at time.Time) error {
	spec, err := unix.TimeToTimespec(at)
	if err != nil {
		return nil //nolint:nilerr // a time that the system cannot keep is not worth a file
	}
	return unix.UtimesNanoAt(int(in), name, []unix.Timespec{spec, spec}, unix.AT_SYMLINK_NOFOLLOW)
}
