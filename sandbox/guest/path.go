package guest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

// absolute returns the cleaned path, relative ones taken from the home.
func (g *Guest) absolute(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(g.cfg.Home, path)
	}
	return filepath.Clean(path)
}

// checked returns the absolute form of a path, refusing those that are never files of the user.
func (g *Guest) checked(path string) (string, error) {
	if strings.ContainsRune(path, 0) {
		return "", fail(connect.CodeInvalidArgument, "BAD_PATH", "leave the NUL byte out", "a path holds no NUL byte")
	}
	path = g.absolute(path)
	for _, tree := range []string{"/proc", "/sys", "/dev"} {
		if path == tree || strings.HasPrefix(path, tree+"/") {
			return "", errSystemPath(path)
		}
	}
	return path, nil
}

func errSystemPath(path string) error {
	return fail(connect.CodePermissionDenied, "SYSTEM_PATH", "use a path below /home/user or /tmp",
		"%q is not a place for files", path)
}

// openRegular opens a regular file of the user's, and returns what fstat(2) says of it. Neither a
// FIFO nor a device makes it wait. The file system is looked at too: through a symbolic link
// /proc/self would be the guest itself. It must be called as the user.
func (g *Guest) openRegular(path string, flags int, mode uint32) (*os.File, unix.Stat_t, error) {
	var stat unix.Stat_t
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, mode)
	if err != nil {
		return nil, stat, err
	}
	file := os.NewFile(uintptr(fd), path)
	err = unix.Fstat(fd, &stat)
	switch {
	case err != nil:
	case stat.Mode&unix.S_IFMT == unix.S_IFDIR:
		err = unix.EISDIR
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		err = unix.ENXIO
	case stat.Dev != g.home.device:
		err = checkFileSystem(fd, path)
	}
	if err != nil {
		_ = file.Close()
		return nil, stat, err
	}
	return file, stat, nil
}

// checkFileSystem refuses what is a view into the kernel rather than a file.
func checkFileSystem(fd int, path string) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	switch fs.Type {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC:
		return errSystemPath(path)
	}
	return nil
}

// target returns the path at which a new file takes the place of what path leads to, and the mode
// that file should have. It must be called as the user.
func (g *Guest) target(path string, mode uint32) (string, uint32, error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&os.ModeSymlink != 0 {
		link := path
		if path, err = followed(path); err != nil {
			return "", 0, err
		}
		if path, err = g.checked(path); err != nil {
			return "", 0, errSystemPath(link) // where it leads is not for everybody: links of the guest's own do
		}
		info, err = os.Lstat(path)
	}
	switch {
	case err == nil && !info.Mode().IsRegular():
		return "", 0, notAFile(info)
	case err == nil && mode == 0:
		mode = uint32(info.Mode().Perm())
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", 0, err
	}
	if mode == 0 {
		mode = 0o644
	}
	return path, mode, nil
}

// notAFile says why a path cannot be written.
func notAFile(info os.FileInfo) error {
	if info.IsDir() {
		return unix.EISDIR
	}
	return unix.ENXIO
}

// followed returns where a symbolic link leads, be it to nothing yet.
func followed(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		return resolved, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		if _, known := errors.AsType[unix.Errno](err); !known {
			err = unix.ELOOP // of which it has a text of its own
		}
		return "", err
	}
	link, err := os.Readlink(path)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(link) {
		link = filepath.Join(filepath.Dir(path), link)
	}
	return filepath.Clean(link), nil
}
