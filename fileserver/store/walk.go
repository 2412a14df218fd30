package store

import (
	"context"
	"errors"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

const (
	// maxWalkNames bounds the names that a walk holds.
	maxWalkNames = 200_000
	// maxWalkDepth bounds the directories that it holds open.
	maxWalkDepth = 128
)

// entry is what a walk came by.
type entry struct {
	in   folder // open until the walk goes on
	name string
	path string
	rel  string // the path below the root
	stat unix.Stat_t
	// err is why nothing is known of it but its name.
	err error
}

func (e entry) is(kind uint32) bool { return e.err == nil && isType(e.stat, kind) }

// walk goes through a directory in the order of the paths' bytes, with a directory before its entries. What is
// there may change meanwhile. It follows no symbolic link.
type walk struct {
	view *view
	// root is the path of the directory.
	root string
	// after is the path behind which the walk begins; with and, at that path. Empty means everything.
	after string
	and   bool
	// force goes on whatever the modes are.
	force bool
	// unreadable counts directories that were not entered: they may not be read, or lie too deep.
	unreadable int64

	levels []level
	held   int
}

// level is an open directory on the way, and the names in it that come next.
type level struct {
	folder

	path  string
	names []string
}

// each gives visit every entry until that says no. It enters a directory only if visit does.
func (w *walk) each(ctx context.Context, visit func(entry) (bool, error)) error {
	if err := w.begin(); err != nil {
		return err
	}
	defer w.close()
	for {
		e, ok := w.next()
		if !ok {
			return nil
		}
		if on, err := visit(e); !on || err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// begin opens the root. Its errors are those of the path.
func (w *walk) begin() error {
	at, err := w.view.find(w.root, true)
	if err != nil {
		return err
	}
	defer at.close()
	opened, err := w.opener(at.folder)(at.name)
	if err != nil {
		return err
	}
	return w.push(opened, w.root)
}

func (w *walk) opener(in folder) func(string) (folder, error) {
	if w.force {
		return in.force
	}
	return in.open
}

func (w *walk) push(here folder, path string) error {
	if w.force {
		here.mode |= ownerAll
	}
	names, err := here.names(max(maxWalkNames-w.held, 1))
	if errors.Is(err, errTooMany) {
		err = fail(connect.CodeResourceExhausted, "DIRECTORY_TOO_LARGE", "list a smaller directory, or use the shell",
			"%q holds more than %d entries", path, maxWalkNames)
	}
	if err != nil {
		here.close()
		return err
	}
	w.held += len(names)
	w.levels = append(w.levels, level{here, path, names})
	return nil
}

func (w *walk) close() {
	for _, level := range slices.Backward(w.levels) {
		level.close()
	}
	w.levels = nil
}

// next returns the next entry, and false at the end.
func (w *walk) next() (entry, bool) {
	for len(w.levels) > 0 {
		here := &w.levels[len(w.levels)-1]
		if len(here.names) == 0 {
			here.close()
			w.levels = w.levels[:len(w.levels)-1]
			continue
		}
		name := here.names[0]
		here.names = here.names[1:]
		w.held--
		e := entry{in: here.folder, name: name, path: strings.TrimSuffix(here.path, "/") + "/" + name}
		e.rel = strings.TrimPrefix(strings.TrimPrefix(e.path, w.root), "/")
		if w.skips(e.path) {
			continue
		}
		if e.stat, e.err = e.in.stat(name); errors.Is(e.err, unix.ENOENT) {
			continue // it went meanwhile
		}
		return e, true
	}
	return entry{}, false
}

// skips reports whether a path was passed before, with everything below it.
func (w *walk) skips(path string) bool {
	return w.after != "" && path != w.after && !before(w.after, path) && !strings.HasPrefix(w.after, path+"/")
}

// fresh reports whether an entry comes behind the place where the walk begins.
func (w *walk) fresh(e entry) bool {
	return w.after == "" || before(w.after, e.path) || w.and && e.path == w.after
}

// enter makes the walk go on in a directory that it has just come by, unless that went meanwhile, may not be
// read, or lies too deep.
func (w *walk) enter(e entry) error {
	if len(w.levels) >= maxWalkDepth || len(e.path) >= unix.PathMax {
		w.unreadable++
		return nil
	}
	below, err := w.opener(e.in)(e.name)
	if err == nil && !w.force {
		if err = below.allows(ownerRead); err != nil {
			below.close()
		}
	}
	if err != nil {
		if !errors.Is(err, unix.ENOENT) {
			w.unreadable++
		}
		return exhausted(err)
	}
	return w.push(below, e.path)
}

// before tells the order of two paths: name by name, which is that of the walk.
func before(a, b string) bool {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) < 0
}
