package guest

import (
	"errors"
	"io/fs"
	"path/filepath"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

// move must be called as the user.
func (g *Guest) move(source, destination string, overwrite bool) error {
	from, oldName, err := g.parent(source)
	if err != nil {
		return err
	}
	defer from.close()
	if _, err := g.movable(from, oldName, source); err != nil {
		return err
	}
	to, err := g.makeDirectory(filepath.Dir(destination))
	if err != nil {
		return err
	}
	defer to.close()
	newName := filepath.Base(destination)
	if overwrite {
		if _, err := g.movable(to, newName, destination); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return unix.Renameat(int(from), oldName, int(to), newName)
	}
	err = unix.Renameat2(int(from), oldName, int(to), newName, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		// The file system cannot refuse by itself. Between the look and the rename only the
		// user's own processes can make the file.
		if _, statErr := to.statIn(newName); statErr == nil {
			return fs.ErrExist
		}
		err = unix.Renameat(int(from), oldName, int(to), newName)
	}
	return err
}

// movable describes what is in a directory under a name, unless it must stay where it is: the home,
// a directory above it, or a place where another file system begins. It must be called as the user.
func (g *Guest) movable(in directory, name, path string) (unix.Stat_t, error) {
	stat, err := in.statIn(name)
	if err != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return stat, err
	}
	above, err := in.stat()
	if err != nil {
		return stat, err
	}
	if stat.Dev != above.Dev {
		return stat, errMount(path)
	}
	// By what they are and not by their names: symbolic links give them others.
	for fixed := filepath.Clean(g.cfg.Home); ; fixed = filepath.Dir(fixed) {
		var other unix.Stat_t
		if unix.Lstat(fixed, &other) == nil && other.Dev == stat.Dev && other.Ino == stat.Ino {
			return stat, fail(connect.CodePermissionDenied, "WORKSPACE_ROOT", "remove or move what is in it", "%q itself stays", path)
		}
		if fixed == "/" {
			return stat, nil
		}
	}
}

func errMount(path string) error {
	return fail(connect.CodePermissionDenied, "MOUNT_POINT", "remove or move what is in it",
		"%q itself stays: another file system begins there", path)
}
