package store

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxLinks = 40   // that a path may lead through, as in the kernel
	maxSteps = 8192 // names that are looked at for one path, links and ways back included
)

// spot is a place for a file: a name in an open directory. For the home itself the name is ".".
type spot struct {
	folder

	name string
	path string // absolute, without symbolic links but for the last name
}

// depth returns how many directories below the home a directory at the spot would be deep.
func (v *view) depth(s spot) int {
	return strings.Count(strings.TrimPrefix(s.path, v.home), "/")
}

// way is the state of a resolution.
type way struct {
	view  *view
	todo  []string
	done  []string // from the root of the file system on
	fixed int      // so many of done lead to the home
	here  folder   // open where done leads, if that is in the home and open is set
	open  bool
	links int
	steps int
}

// find walks to the last name of a checked path, which need not be there. With follow, that is what a symbolic
// link leads to.
func (v *view) find(path string, follow bool) (spot, error) {
	w := &way{view: v, todo: split(path), fixed: len(split(v.home))}
	s, err := w.run(follow)
	if err != nil {
		w.leave()
		return spot{}, err
	}
	return s, nil
}

// split returns the names of a path.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func (w *way) leave() {
	if w.open {
		w.here.close()
	}
	w.open = false
}

func (w *way) path() string { return "/" + strings.Join(w.done, "/") }

func (w *way) run(follow bool) (spot, error) {
	for len(w.todo) > 0 {
		if w.steps++; w.steps > maxSteps {
			return spot{}, unix.ELOOP
		}
		name, last := w.todo[0], len(w.todo) == 1
		w.todo = w.todo[1:]
		switch {
		case name == ".":
			continue
		case name == "..":
			w.back()
			continue
		case len(w.done) < w.fixed:
			if err := w.above(name); err != nil {
				return spot{}, err
			}
			continue
		}
		if err := w.enter(); err != nil {
			return spot{}, err
		}
		if last && !follow {
			return spot{w.here, name, w.path() + "/" + name}, nil
		}
		found, err := w.step(name, last)
		if err != nil {
			return spot{}, err
		}
		if found {
			return spot{w.here, name, w.path() + "/" + name}, nil
		}
	}
	if len(w.done) < w.fixed {
		return spot{}, w.view.errOutside(w.path())
	}
	err := w.enter()
	return spot{w.here, ".", w.path()}, err
}

// back goes to the directory above. It is walked to anew: by its descriptor it might have been moved meanwhile.
func (w *way) back() {
	w.leave()
	w.done = w.done[:max(len(w.done)-1, 0)]
}

// above goes on where the home is not reached yet: there only the directories on the way to it exist.
func (w *way) above(name string) error {
	way := split(w.view.home)
	if way[len(w.done)] == name {
		w.done = append(w.done, name)
		return nil
	}
	path := filepath.Join(slices.Concat([]string{w.path(), name}, w.todo)...)
	if within(path, "/dev") && w.links > 0 {
		return unix.ENXIO // a device, in a sandbox
	}
	return w.view.errOutside(path)
}

// enter opens the directory that done leads to.
func (w *way) enter() error {
	if w.open {
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(w.view.tree.at()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.here, w.open = folder{fd: fd + 1, mode: w.view.tree.mode}, true
	for _, name := range w.done[w.fixed:] {
		if w.steps++; w.steps > maxSteps {
			return unix.ELOOP
		}
		below, err := w.here.open(name)
		if err != nil {
			return err
		}
		w.here.close()
		w.here = below
	}
	return nil
}

// step goes through a name, and reports whether it is the end of the way.
func (w *way) step(name string, last bool) (end bool, err error) {
	stat, err := w.here.stat(name)
	switch {
	case errors.Is(err, unix.ENOENT) && last:
		return true, nil
	case err != nil:
		return false, err
	case isType(stat, unix.S_IFLNK):
		return false, w.follow(name)
	case last:
		return true, nil
	}
	below, err := w.here.open(name)
	if err != nil {
		return false, err
	}
	w.here.close()
	w.here = below
	w.done = append(w.done, name)
	return false, nil
}

// follow puts the names in a symbolic link before those that come next.
func (w *way) follow(name string) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	target, err := w.here.readLink(name)
	if err != nil {
		return err
	}
	if strings.HasPrefix(target, "/") {
		w.leave()
		w.done = nil
	}
	names := split(target)
	if strings.HasSuffix(target, "/") {
		names = append(names, ".")
	}
	if len(names)+len(w.todo) > maxSteps {
		return unix.ENAMETOOLONG
	}
	w.todo = slices.Concat(names, w.todo)
	return nil
}
