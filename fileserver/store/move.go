package store

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// move must be called in a change.
func (v *view) move(ctx context.Context, source, destination string, overwrite bool) error {
	from, err := v.movable(source)
	if err != nil {
		return err
	}
	defer from.close()
	stat, err := from.stat(from.name)
	if err != nil {
		return err
	}
	if err := v.makeDirectories(filepath.Dir(destination)); err != nil {
		return err
	}
	to, old, err := v.free(destination, overwrite)
	if err != nil {
		return err
	}
	defer to.close()
	if err := from.allows(ownerWrite | ownerEnter); err != nil {
		return err
	}
	if isType(stat, unix.S_IFDIR) {
		if err := v.fits(ctx, from, to); err != nil {
			return err
		}
	}
	if err := unix.Renameat(from.at(), from.name, to.at(), to.name); err != nil {
		return err
	}
	if old.Ino != 0 && old.Ino != stat.Ino { // two names of one file stay as they are
		v.used.gone(old)
	}
	return nil
}

// free finds a spot for something, and describes what will be replaced there: with a zero inode if that is nothing.
func (v *view) free(destination string, overwrite bool) (spot, unix.Stat_t, error) {
	to, err := v.find(destination, false)
	if err != nil {
		return spot{}, unix.Stat_t{}, err
	}
	old, err := to.stat(to.name)
	switch {
	case err == nil && !overwrite:
		err = fs.ErrExist
	case err == nil && to.name == ".":
		err = errRoot(destination)
	case err == nil:
		err = to.allows(ownerWrite | ownerEnter)
	case errors.Is(err, unix.ENOENT):
		old, err = unix.Stat_t{}, to.fits()
	}
	if err != nil {
		to.close()
		return spot{}, unix.Stat_t{}, err
	}
	return to, old, nil
}

// extent is how far a tree reaches: how many directories its deepest one is below it, and how long its longest
// path is.
type extent struct{ deep, long int }

// with returns the extent with one more entry.
func (x extent) with(e entry) extent {
	x.long = max(x.long, 1+len(e.rel))
	if e.is(unix.S_IFDIR) {
		x.deep = max(x.deep, 1+strings.Count(e.rel, "/"))
	}
	return x
}

// at reports whether a tree of that extent may be at a spot.
func (v *view) at(to spot, x extent) error {
	switch {
	case v.depth(to)+x.deep > maxDepth:
		return errTooDeep(to.path)
	case len(to.path)+x.long >= unix.PathMax:
		return unix.ENAMETOOLONG
	}
	return nil
}

// fits reports whether what is in a directory is not too deep, and its paths not too long, at its new place.
func (v *view) fits(ctx context.Context, from, to spot) error {
	if v.depth(to) <= v.depth(from) && len(to.path) <= len(from.path) {
		return nil
	}
	var x extent
	w := walk{view: v, root: from.path, force: true}
	err := w.each(ctx, func(e entry) (bool, error) {
		x = x.with(e)
		if !e.is(unix.S_IFDIR) {
			return true, nil
		}
		return true, w.enter(e)
	})
	if err != nil {
		return err
	}
	return v.at(to, x)
}
