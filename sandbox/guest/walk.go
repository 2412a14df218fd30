package guest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

const (
	// maxWalkNames bounds the names that a walk holds, so that a directory of millions costs bounded memory
	// and time.
	maxWalkNames = 200_000
	// maxWalkDepth bounds the directories that it holds open.
	maxWalkDepth = 128
	// walkSlice is how long a walk works as the user at once.
	walkSlice = 50 * time.Millisecond
)

// walk goes through a directory in the order of the paths' bytes, with a directory before its entries. The
// tree is the user's, whose code may change it at any time: it goes by descriptors, follows no symbolic link
// and enters no view into the kernel. Its methods, but for close, must be called as the user.
type walk struct {
	guest *Guest
	// root is the path of the directory.
	root string
	// after is the path behind which the walk begins; with and, at that path. Empty means everything.
	after string
	and   bool
	// force goes on whatever the modes of the user's directories are: each is the user's while the walk is in it.
	force bool
	// unreadable counts directories that were not entered: they may not be read, or lie too deep.
	unreadable int64

	levels []walkLevel
	held   int
	buf    []byte
}

// walkLevel is an open directory on the way, and the names in it that come next.
type walkLevel struct {
	directory
	path  string
	names []string
	lent  lent
}

// open opens the directory. Its errors are those of the path.
func (w *walk) open() error {
	d, err := w.guest.openDirectory(w.root, toRead)
	if err != nil {
		return err
	}
	w.buf = make([]byte, direntBuffer)
	return w.push(d, w.root, lent{})
}

func (w *walk) push(d directory, path string, modes lent) error {
	names, err := w.names(d, path)
	if err != nil {
		modes.back(int(d))
		d.close()
		return err
	}
	w.held += len(names)
	w.levels = append(w.levels, walkLevel{d, path, names, modes})
	return nil
}

// leave gives the modes back that were lent, and closes what is open.
func (w *walk) leave() {
	for _, level := range slices.Backward(w.levels) {
		level.lent.back(int(level.directory))
		level.close()
	}
	w.levels = nil
}

// next returns the next entry, and false at the end. It does not enter directories by itself.
func (w *walk) next() (walked, bool) {
	for len(w.levels) > 0 {
		here := &w.levels[len(w.levels)-1]
		if len(here.names) == 0 {
			here.lent.back(int(here.directory))
			here.close()
			w.levels = w.levels[:len(w.levels)-1]
			continue
		}
		name := here.names[0]
		here.names = here.names[1:]
		w.held--
		e := walked{in: here.directory, name: name, path: strings.TrimSuffix(here.path, "/") + "/" + name}
		e.rel = strings.TrimPrefix(strings.TrimPrefix(e.path, w.root), "/")
		if w.skips(e.path) {
			continue
		}
		if e.stat, e.err = e.in.statIn(name); errors.Is(e.err, unix.ENOENT) {
			continue // it went meanwhile
		}
		return e, true
	}
	return walked{}, false
}

// skips reports whether a path was passed before, with everything below it.
func (w *walk) skips(path string) bool {
	return w.after != "" && path != w.after && !before(w.after, path) && !strings.HasPrefix(w.after, path+"/")
}

// fresh reports whether an entry comes behind the place where the walk begins. A directory on the way to that
// place is walked through, and was told of before.
func (w *walk) fresh(e walked) bool {
	return w.after == "" || before(w.after, e.path) || w.and && e.path == w.after
}

// enter makes the walk go on in a directory that it has just come by, unless that went meanwhile, may not be
// read, is a view into the kernel, or lies so deep that no call could name what is in it.
func (w *walk) enter(e walked) error {
	if len(w.levels) >= maxWalkDepth || len(e.path) >= unix.PathMax {
		w.unreadable++
		return nil
	}
	var modes lent
	if w.force {
		modes = lend(int(e.in), e.name, e.stat)
	}
	below, err := e.in.open(e.name)
	if err != nil {
		_ = modes.backAt(int(e.in), e.name) // it may be gone
		if !errors.Is(err, unix.ENOENT) {
			w.unreadable++
		}
		return exhausted(err)
	}
	if refused := w.guest.checkDirectory(below, e.path); refused != nil {
		modes.back(int(below))
		below.close()
		return exhausted(refused) // it is listed, and what is in it is no files
	}
	return w.push(below, e.path, modes)
}

// names returns the sorted names in a directory.
func (w *walk) names(d directory, path string) ([]string, error) {
	var names []string
	for {
		more, err := d.read(w.buf)
		if err != nil && !errors.Is(err, unix.ENOENT) { // which a removed directory says
			return nil, err
		}
		if len(more) == 0 {
			slices.Sort(names)
			return names, nil
		}
		names = append(names, more...)
		if w.held+len(names) > maxWalkNames {
			return nil, fail(connect.CodeResourceExhausted, "DIRECTORY_TOO_LARGE", "list a smaller directory, or use the shell",
				"%q holds more than %d entries", path, maxWalkNames)
		}
	}
}

// step is what a walk does behind an entry.
type step int

const (
	walkOn   step = iota
	walkRest      // leave the user, and go on
	walkEnd
)

// run gives visit every entry, in slices of time in each of which it works as the user. After each of them
// rest, if there is one, is called, not as the user, and says whether to go on.
func (w *walk) run(ctx context.Context, visit func(walked) (step, error), rest func() (step, error)) error {
	if err := w.guest.asUser(ctx, w.open); err != nil {
		return err
	}
	defer func() { _ = w.guest.user.do(context.WithoutCancel(ctx), func() error { w.leave(); return nil }) }()
	for next := walkOn; next != walkEnd; {
		err := w.guest.user.do(ctx, func() (err error) {
			next, err = w.slice(ctx, visit)
			return err
		})
		if err != nil {
			return err
		}
		if rest == nil {
			continue
		}
		after, err := rest()
		if err != nil {
			return err
		}
		next = max(next, after)
	}
	return nil
}

// slice walks for a while.
func (w *walk) slice(ctx context.Context, visit func(walked) (step, error)) (step, error) {
	for end := time.Now().Add(walkSlice); time.Now().Before(end); {
		e, ok := w.next()
		if !ok {
			return walkEnd, nil
		}
		if next, err := visit(e); next != walkOn || err != nil {
			return next, err
		}
		if ctx.Err() != nil {
			return walkEnd, ctx.Err()
		}
	}
	return walkRest, nil
}

// exhausted returns an error that says that the guest is short of something, and nil for any other.
func exhausted(err error) error {
	for _, short := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, short) {
			return err
		}
	}
	return nil
}

// before tells the order of two paths: component by component, which is that of the walk.
func before(a, b string) bool {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) < 0
}
