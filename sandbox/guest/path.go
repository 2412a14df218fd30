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

// openRegular opens a regular file of the user's. Neither a FIFO nor a device makes it wait. The
// file system is looked at too: through a symbolic link /proc/self would be the guest itself.
// It must be called as the user.
func openRegular(path string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, mode)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	if err := checkRegular(fd, path); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func checkRegular(fd int, path string) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return unix.EISDIR
	default:
		return unix.ENXIO
	}
	return checkFileSystem(fd, path)
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

// openDirectory opens a directory of the user's. It must be called as the user.
func openDirectory(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	if err := checkFileSystem(fd, path); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// target returns what a path leads to, so that a new file can be put in its place by a rename. It
// must be called as the user.
func target(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		return resolved, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if link, linkErr := os.Readlink(path); linkErr == nil { // it leads nowhere yet
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		return filepath.Clean(link), nil
	}
	return path, nil
}
