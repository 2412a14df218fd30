package guest

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// directory is an open directory of the user's. What is done by it is done in it, wherever the names
// above it lead meanwhile. Its methods must be called as the user.
type directory int

// How a directory is opened: to be read, or, with less permission, to be worked in.
const (
	toRead = unix.O_RDONLY
	toUse  = unix.O_PATH
)

// openDirectory opens the directory that a path leads to, unless that is a view into the kernel:
// through a symbolic link /proc/self would be the guest itself.
func (g *Guest) openDirectory(path string, how int) (directory, error) {
	fd, err := unix.Open(path, how|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	d := directory(fd)
	if err := g.checkDirectory(d, path); err != nil {
		d.close()
		return -1, err
	}
	return d, nil
}

// checkDirectory refuses a directory that is a view into the kernel.
func (g *Guest) checkDirectory(d directory, path string) error {
	stat, err := d.stat()
	if err != nil || stat.Dev == g.home.device {
		return err
	}
	return checkFileSystem(int(d), path)
}

// parent opens the directory that the last name of a path is in, and returns that name, which "." is
// for the root.
func (g *Guest) parent(path string) (directory, string, error) {
	name := filepath.Base(path)
	if name == "/" {
		name = "."
	}
	d, err := g.openDirectory(filepath.Dir(path), toUse)
	return d, name, err
}

// makeDirectory opens a directory after making it and those above it, as far as they are missing.
func (g *Guest) makeDirectory(path string) (directory, error) {
	d, err := g.openDirectory(path, toUse)
	if !errors.Is(err, unix.ENOENT) || path == "/" {
		return d, err
	}
	above, err := g.makeDirectory(filepath.Dir(path))
	if err != nil {
		return -1, err
	}
	defer above.close()
	if err := g.room(path); err != nil {
		return -1, err
	}
	if err := unix.Mkdirat(int(above), filepath.Base(path), 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	return g.openDirectory(path, toUse)
}

// makeDirectories makes a directory and those above it, as far as they are missing.
func (g *Guest) makeDirectories(path string) error {
	d, err := g.makeDirectory(path)
	if err == nil {
		d.close()
	}
	return err
}

func (d directory) close() {
	if d >= 0 {
		_ = unix.Close(int(d))
	}
}

// open opens a directory in this one to be read. A symbolic link is not followed.
func (d directory) open(name string) (directory, error) {
	fd, err := unix.Openat(int(d), name, toRead|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	return directory(fd), err
}

// stat describes the directory itself.
func (d directory) stat() (unix.Stat_t, error) {
	var stat unix.Stat_t
	err := unix.Fstat(int(d), &stat)
	return stat, err
}

// statIn describes what is in the directory under a name. A symbolic link is not followed.
func (d directory) statIn(name string) (unix.Stat_t, error) {
	var stat unix.Stat_t
	err := unix.Fstatat(int(d), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	return stat, err
}

// readLink returns where the symbolic link of that name points, as written in it.
func (d directory) readLink(name string) (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(d), name, target)
	return string(target[:max(n, 0)]), err
}

// read returns the next names in the directory, in no order, and none at its end. It needs the
// buffer.
func (d directory) read(buf []byte) ([]string, error) {
	for {
		n, err := unix.ReadDirent(int(d), buf)
		if err != nil || n == 0 {
			return nil, err
		}
		if _, _, names := unix.ParseDirent(buf[:n], -1, nil); len(names) > 0 { // "." and ".." are none
			return names, nil
		}
	}
}

// direntBuffer is the size of a buffer for read.
const direntBuffer = 16 << 10
