// Package store keeps the workspaces of sessions that have no sandbox yet. A Workspace is a directory of the
// host that serves FileService as a guest does: the same paths, below /home/user, the same replies and the
// same errors, so that nobody has to know where the files of a session are.
//
// Nothing in it follows a name of a caller's by itself: every path is walked name by name with descriptors that
// follow no symbolic link, and a link is resolved here, as it would be in a sandbox whose only directory is
// /home/user. So there is no path, and no change made meanwhile, that leads out of the directory.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// Home is the only directory of a workspace, as callers know it.
const Home = "/home/user"

// Limits bound what a workspace holds.
type Limits struct {
	// Bytes bounds the sizes of all files together, and the lengths of symbolic links. A file that is being
	// replaced counts with both its sizes until that is done. Zero means that they are not bounded.
	Bytes int64
	// Files bounds how many names there are: files, links and directories. Zero means that it is not bounded.
	Files int64
	// Disk is where the workspace is, if what others need there must be left. Nil: everything may be written.
	Disk *Disk
}

// Disk is a file system with several workspaces on it, and with what else must have room there.
type Disk struct {
	// Folder is a directory on it.
	Folder string
	// Free is how many bytes no workspace may take.
	Free int64
}

// Has reports whether so many bytes more may be written. Where that cannot be told they may not.
func (d *Disk) Has(bytes int64) bool {
	var fs unix.Statfs_t
	if unix.Statfs(d.Folder, &fs) != nil {
		return false
	}
	return int64(fs.Bavail)*fs.Bsize-d.Free >= bytes
}

// Workspace is the files of one session. It serves sandgatev1connect.FileServiceHandler, all but what the host
// does with the files by itself. All methods may be called by any number of goroutines. It holds no descriptor,
// goroutine or watch while no call is made, and a directory only from the first call on.
type Workspace struct {
	sandgatev1connect.UnimplementedFileServiceHandler

	dir     string
	home    string // that callers know the directory by
	fixed   bool   // nothing in it is changed, not even a mode
	used    ledger
	watches atomic.Int32
	done    chan struct{}

	mu     sync.Mutex // held while names change
	closed bool       // guarded by mu
}

const (
	treeName  = "home" // in the directory: what callers see
	stageName = "new"  // beside it: what has not got its name yet
)

// Open returns the workspace in a directory, which need not be there: the first call makes it, with mode 0700.
// What is there already is counted, and what a crash left unfinished is removed. Only one Workspace may use a
// directory at a time.
func Open(dir string, limits Limits) (*Workspace, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open a workspace: %w", err)
	}
	w := &Workspace{dir: absolute, home: Home, done: make(chan struct{})}
	w.used.limits = limits
	if err := w.recount(); err != nil {
		return nil, fmt.Errorf("open the workspace in %s: %w", absolute, err)
	}
	return w, nil
}

// OpenFixed returns a workspace that is a directory of the host as it is, which callers know by another path. It can
// only be read: whatever would change it is refused with PermissionDenied.
func OpenFixed(dir, home string) (*Workspace, error) {
	absolute, err := filepath.EvalSymlinks(dir)
	if err == nil {
		absolute, err = filepath.Abs(absolute)
	}
	if err != nil {
		return nil, fmt.Errorf("open a workspace: %w", err)
	}
	return &Workspace{dir: absolute, home: home, fixed: true, done: make(chan struct{})}, nil
}

// Close ends the workspace. When it returns nothing in the directory gets, loses or changes a name any more; calls
// that read may go on for a while. The directory stays: see Remove. Closing it again does nothing.
func (w *Workspace) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		close(w.done)
	}
	return nil
}

// Usage returns how many bytes and names count against the limits now, with what calls have reserved.
func (w *Workspace) Usage() Limits { return w.used.usage() }

// Remove removes the directory of a workspace that is closed, with everything in it whatever its mode. That it
// is not there is no error.
func Remove(ctx context.Context, dir string) error {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("remove a workspace: %w", err)
	}
	above, err := openFolder(filepath.Dir(absolute))
	if err == nil {
		defer above.close()
		r := remover{ctx: ctx, force: true}
		err = r.remove(above, filepath.Base(absolute), 0)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the workspace in %s: %w", absolute, err)
	}
	return nil
}

// view is a workspace with its directories open, for one call.
type view struct {
	*Workspace

	tree  folder
	stage folder
}

// view opens the directories, and makes them where they are missing.
func (w *Workspace) view() (*view, error) {
	select {
	case <-w.done:
		return nil, errClosed()
	default:
	}
	v := &view{Workspace: w}
	if w.fixed {
		var err error
		if v.tree, err = openFolder(w.dir); err != nil {
			return nil, fileError(w.home, err)
		}
		return v, nil
	}
	for _, one := range []struct {
		name string
		to   *folder
	}{{treeName, &v.tree}, {stageName, &v.stage}} {
		path := filepath.Join(w.dir, one.name)
		opened, err := openFolder(path)
		if errors.Is(err, fs.ErrNotExist) {
			if err = os.MkdirAll(path, 0o700); err == nil {
				opened, err = openFolder(path)
			}
		}
		if err != nil {
			v.close()
			return nil, fileError(Home, err)
		}
		*one.to = opened
	}
	return v, nil
}

func (v *view) close() {
	v.tree.close()
	v.stage.close()
}

// change does fn while nothing else changes names.
func (v *view) change(fn func() error) error {
	if v.fixed {
		return errFixed()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return errClosed()
	}
	return fn()
}

func errFixed() error {
	return fail(connect.CodePermissionDenied, "READ_ONLY", "copy it to /home/user first, and change the copy", "it can only be read")
}

func errClosed() error {
	return fail(connect.CodeUnavailable, "WORKSPACE_CLOSED", "try again: the files may have got another place",
		"the workspace is closed here")
}

// recount removes what is unfinished and counts what is there.
func (w *Workspace) recount() error {
	dir, err := openFolder(w.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.close()
	r := remover{ctx: context.Background(), force: true}
	if err := r.remove(dir, stageName, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	linked := map[uint64]bool{}
	return w.count(dir, treeName, linked, 0)
}

// count counts what is in a directory.
func (w *Workspace) count(above folder, name string, linked map[uint64]bool, depth int) error {
	if depth > maxDepth+1 {
		return unix.ELOOP // which nothing here makes
	}
	here, err := above.force(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer here.close()
	names, err := here.names(0)
	if err != nil {
		return err
	}
	for _, name := range names {
		stat, err := here.statAnyway(name)
		if err != nil {
			return err
		}
		w.used.files++
		if isType(stat, unix.S_IFDIR) {
			if err := w.count(here, name, linked, depth+1); err != nil {
				return err
			}
			continue
		}
		if stat.Nlink == 1 || !linked[stat.Ino] {
			w.used.bytes += stat.Size
		}
		if stat.Nlink > 1 {
			linked[stat.Ino] = true
		}
	}
	return nil
}
