package store

import (
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	ownerRead  = 0o400
	ownerWrite = 0o200
	ownerEnter = 0o100
	ownerAll   = 0o700
)

// folder is an open directory. What is done by it is done in it, to names without a slash, and no symbolic link
// is followed. It keeps to the mode of the directory by itself: to the system the gateway may be a user who
// need not, and a caller must not see a difference. The zero value is open nowhere.
type folder struct {
	fd   int // plus one
	mode uint32
	lent bool // the directory is open to its owner until close, and its mode is kept
	kept uint32
}

// openFolder opens a directory of the host.
func openFolder(path string) (folder, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	return newFolder(fd, err)
}

func newFolder(fd int, err error) (folder, error) {
	var stat unix.Stat_t
	if err != nil {
		return folder{}, err
	}
	if err := unix.Fstat(fd, &stat); err != nil {
		return folder{}, errors.Join(err, unix.Close(fd))
	}
	return folder{fd: fd + 1, mode: stat.Mode & 0o777}, nil
}

func (f folder) at() int { return f.fd - 1 }

func (f folder) close() {
	if f.fd == 0 {
		return
	}
	if f.lent {
		_ = unix.Fchmod(f.at(), f.kept)
	}
	_ = unix.Close(f.at())
}

// allows returns EACCES where the mode of the directory lacks some of its owner's permissions.
func (f folder) allows(permissions uint32) error {
	if f.mode&permissions != permissions {
		return unix.EACCES
	}
	return nil
}

// open opens a directory in this one.
func (f folder) open(name string) (folder, error) {
	if err := f.allows(ownerEnter); err != nil {
		return folder{}, err
	}
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(f.at(), name, unix.O_RDONLY|flags, 0)
	if errors.Is(err, unix.EACCES) { // it may be worked in, if not read
		fd, err = unix.Openat(f.at(), name, unix.O_PATH|flags, 0)
	}
	return newFolder(fd, err)
}

// force opens a directory in this one whatever its mode, which is as before when it is closed.
func (f folder) force(name string) (folder, error) {
	stat, err := f.statAnyway(name)
	if err != nil {
		return folder{}, err
	}
	if !isType(stat, unix.S_IFDIR) {
		return folder{}, unix.ENOTDIR
	}
	kept := stat.Mode & 0o777
	lent := kept&ownerAll != ownerAll
	if lent {
		if err := unix.Fchmodat(f.at(), name, kept|ownerAll, 0); err != nil {
			return folder{}, err
		}
	}
	fd, err := unix.Openat(f.at(), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	here, err := newFolder(fd, err)
	here.lent, here.kept = lent, kept
	return here, err
}

// forceFile opens a regular file in the directory whatever its mode.
func (f folder) forceFile(name string) (*os.File, unix.Stat_t, error) {
	file, stat, err := f.file(name, unix.O_RDONLY, 0)
	if !errors.Is(err, unix.EACCES) {
		return file, stat, err
	}
	if stat, err = f.statAnyway(name); err == nil {
		err = regular(stat, 0)
	}
	if err != nil {
		return nil, stat, err
	}
	if err := unix.Fchmodat(f.at(), name, stat.Mode&0o777|ownerRead, 0); err != nil {
		return nil, stat, err
	}
	kept := stat.Mode & 0o777
	file, stat, err = f.file(name, unix.O_RDONLY, 0)
	stat.Mode = stat.Mode&unix.S_IFMT | kept
	return file, stat, errors.Join(err, unix.Fchmodat(f.at(), name, kept, 0))
}

// file opens a regular file in the directory. Neither a FIFO nor a device makes it wait.
func (f folder) file(name string, flags int, permissions uint32) (*os.File, unix.Stat_t, error) {
	var stat unix.Stat_t
	if err := f.allows(ownerEnter); err != nil {
		return nil, stat, err
	}
	fd, err := unix.Openat(f.at(), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, unix.ELOOP) {
		err = unix.ENXIO // a link took the place of the file
	}
	if err != nil {
		return nil, stat, err
	}
	file := os.NewFile(uintptr(fd), name)
	if err = unix.Fstat(fd, &stat); err == nil {
		err = regular(stat, permissions)
	}
	if err != nil {
		return nil, stat, errors.Join(err, file.Close())
	}
	return file, stat, nil
}

// regular returns why a file cannot be read or written.
func regular(stat unix.Stat_t, permissions uint32) error {
	switch {
	case isType(stat, unix.S_IFDIR):
		return unix.EISDIR
	case !isType(stat, unix.S_IFREG):
		return unix.ENXIO
	case stat.Mode&permissions != permissions:
		return unix.EACCES
	}
	return nil
}

// stat describes what is in the directory under a name.
func (f folder) stat(name string) (unix.Stat_t, error) {
	if err := f.allows(ownerEnter); err != nil {
		return unix.Stat_t{}, err
	}
	return f.statAnyway(name)
}

func (f folder) statAnyway(name string) (unix.Stat_t, error) {
	var stat unix.Stat_t
	err := unix.Fstatat(f.at(), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	return stat, err
}

func isType(stat unix.Stat_t, kind uint32) bool { return stat.Mode&unix.S_IFMT == kind }

// readLink returns where the symbolic link of that name points, as written in it.
func (f folder) readLink(name string) (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(f.at(), name, target)
	return string(target[:max(n, 0)]), err
}

// names returns the sorted names in the directory. More than limit of them are an error, unless that is zero.
func (f folder) names(limit int) ([]string, error) {
	if err := f.allows(ownerRead); err != nil {
		return nil, err
	}
	// Opened again, for an offset of its own.
	fd, err := unix.Openat(f.at(), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) { // which a removed directory says
			return nil, nil
		}
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	var names []string
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
		if n <= 0 {
			slices.Sort(names)
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
		if limit > 0 && len(names) > limit {
			return nil, errTooMany
		}
	}
}

// errTooMany is what names says of a directory that is too large.
var errTooMany = errors.New("there are more names than can be listed")
