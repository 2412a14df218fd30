package guest

import (
	"context"

	"golang.org/x/sys/unix"
)

const (
	// A removal gives up after some steps, so that whoever makes files as fast as they are removed
	// does not keep it busy for ever. A file takes one and a directory two: these are four for
	// each that there is, and at least and at most so many.
	minRemoveSteps = 50_000
	maxRemoveSteps = 3_000_000
)

// remove removes what a path leads to, which is not followed if it is a symbolic link. It must be
// called as the user.
func (g *Guest) remove(ctx context.Context, path string, recursive bool) error {
	in, name, err := g.parent(path)
	if err != nil {
		return err
	}
	defer in.close()
	stat, err := g.movable(in, name, path)
	switch {
	case err != nil:
		return err
	case stat.Mode&unix.S_IFMT != unix.S_IFDIR:
		return unix.Unlinkat(int(in), name, 0)
	case !recursive:
		return unix.Unlinkat(int(in), name, unix.AT_REMOVEDIR)
	}
	g.home.unlock() // what is refused below is left, and not asked for again
	r := remover{path: path, base: in, device: stat.Dev, steps: removeSteps(in), buf: make([]byte, direntBuffer), failed: map[failure]bool{}}
	defer r.close()
	return r.run(ctx, name)
}

// removeSteps returns how many steps a removal on a directory's file system may take.
func removeSteps(in directory) int {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(in), &fs); err != nil || fs.Files <= fs.Ffree { // some do not count
		return maxRemoveSteps
	}
	return int(min(max(4*(fs.Files-fs.Ffree), minRemoveSteps), maxRemoveSteps))
}
