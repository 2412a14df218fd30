package guest

import (
	"context"
	"errors"
	"path"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

const (
	// maxRemoveDepth bounds how deep a removal goes, and so the memory in which it notes the way back.
	maxRemoveDepth = 32_000
	// maxRemoveFailures bounds how many entries it leaves behind before it gives up.
	maxRemoveFailures = 1000
)

// remover removes a directory with everything in it, as `rm -r` does: what cannot be removed is left,
// with what is above it, the rest goes, and the first error is returned. The tree is the user's, whose
// code may change it at any time and make it as deep as there are files. So it goes by descriptors and
// never by a path, follows no symbolic link, leaves its file system nowhere, and holds three
// descriptors at most: it goes back up by "..", and looks whether that is where it came from.
type remover struct {
	path   string    // of what is removed
	base   directory // that holds it; not ours to close
	device uint64
	buf    []byte

	way    []level // from the base to here
	here   visit
	parent visit // of here; its directory is negative while it is not open
	steps  int   // that are left
	first  error
	failed map[failure]bool
}

// level is one directory on the way.
type level struct {
	name    string
	inode   uint64
	spoiled bool // something in it cannot be removed
}

// visit is an open directory, and the names in it that were read and not looked at yet.
type visit struct {
	directory
	names []string
}

// failure is what cannot be removed: a name in a directory.
type failure struct {
	inode uint64
	name  string
}

func (r *remover) run(ctx context.Context, name string) error {
	base, err := r.base.stat()
	if err != nil {
		return err
	}
	r.way = []level{{inode: base.Ino}}
	r.here, r.parent = visit{r.base, []string{name}}, visit{directory: -1}
	for ; r.steps > 0; r.steps-- {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		name, err := r.next()
		switch {
		case err != nil:
		case name != "":
			err = r.take(name)
		case len(r.way) == 1:
			return r.first
		default:
			err = r.leave()
		}
		if err != nil {
			return err
		}
	}
	return r.errChanges()
}

// next returns the next name in the directory, and "" at its end.
func (r *remover) next() (string, error) {
	inode := r.way[len(r.way)-1].inode
	for {
		for len(r.here.names) > 0 {
			name := r.here.names[0]
			r.here.names = r.here.names[1:]
			if !r.failed[failure{inode, name}] {
				return name, nil
			}
		}
		if len(r.way) == 1 {
			return "", nil // of the base one name is ours
		}
		names, err := r.here.read(r.buf)
		if len(names) == 0 || err != nil {
			if errors.Is(err, unix.ENOENT) { // somebody removed it
				err = nil
			}
			return "", err
		}
		r.here.names = names
	}
}

// take removes an entry, or enters it.
func (r *remover) take(name string) error {
	err := unix.Unlinkat(int(r.here.directory), name, 0) // most are files: this saves looking
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	below, openErr := r.here.open(name)
	switch {
	case openErr == nil:
		return r.enter(name, below)
	case exhausted(openErr) != nil:
		return openErr
	case errors.Is(err, unix.EISDIR): // one that may not be read, but may be empty
		if unix.Unlinkat(int(r.here.directory), name, unix.AT_REMOVEDIR) == nil {
			return nil
		}
		err = openErr
	}
	return r.fail(name, err)
}

func (r *remover) enter(name string, below directory) error {
	stat, err := below.stat()
	if err == nil && stat.Dev != r.device {
		err = errMount(r.pathOf(name))
	}
	if err != nil {
		below.close()
		return r.fail(name, err)
	}
	if len(r.way) > maxRemoveDepth {
		below.close()
		return fail(connect.CodeFailedPrecondition, "DIRECTORY_TOO_DEEP", "use the shell: rm -rf",
			"%q is more than %d directories deep", r.path, maxRemoveDepth)
	}
	r.shut(r.parent)
	r.parent, r.here = r.here, visit{directory: below}
	r.way = append(r.way, level{name: name, inode: stat.Ino})
	return nil
}

// leave goes up, and removes the directory that it leaves.
func (r *remover) leave() error {
	left := r.way[len(r.way)-1]
	r.way = r.way[:len(r.way)-1]
	if err := r.up(); err != nil {
		return err
	}
	if left.spoiled {
		return r.fail(left.name, r.first)
	}
	err := unix.Unlinkat(int(r.here.directory), left.name, unix.AT_REMOVEDIR)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTDIR):
		r.here.names = append(r.here.names, left.name) // somebody put something there meanwhile
		return nil
	}
	return r.fail(left.name, err)
}

// up goes to the directory above. Its file descriptor is still there, unless it has been there before
// and gone deeper since.
func (r *remover) up() error {
	above := r.parent
	switch {
	case len(r.way) == 1:
		above.directory = r.base
	case above.directory < 0:
		opened, err := r.here.open("..")
		if err != nil {
			return err
		}
		above = visit{directory: opened}
		stat, err := opened.stat()
		if err == nil && (stat.Dev != r.device || stat.Ino != r.way[len(r.way)-1].inode) {
			err = r.errChanges()
		}
		if err != nil {
			opened.close()
			return err
		}
	}
	r.shut(r.here)
	r.here, r.parent = above, visit{directory: -1}
	return nil
}

// fail notes that an entry stays. It returns an error once that is so of too many.
func (r *remover) fail(name string, err error) error {
	if r.first == nil {
		r.first = fileError(r.pathOf(name), err)
	}
	here := &r.way[len(r.way)-1]
	here.spoiled = true
	r.failed[failure{here.inode, name}] = true
	if len(r.failed) > maxRemoveFailures {
		return r.first
	}
	return nil
}

// pathOf returns the path of an entry, or of the whole if that would be too long to be told.
func (r *remover) pathOf(name string) string {
	var names strings.Builder
	if len(r.way) == 1 {
		return r.path
	}
	for _, level := range r.way[2:] {
		if names.WriteString(level.name + "/"); names.Len() > unix.PathMax {
			return r.path
		}
	}
	return path.Join(r.path, names.String(), name)
}

func (r *remover) errChanges() error {
	return fail(connect.CodeFailedPrecondition, "DIRECTORY_CHANGES", "end what works in it, and remove it again",
		"%q changes while it is removed; something of it is left", r.path)
}

// shut closes a directory unless it is the base.
func (r *remover) shut(v visit) {
	if v.directory != r.base {
		v.close()
	}
}

func (r *remover) close() {
	r.shut(r.here)
	r.shut(r.parent)
}
