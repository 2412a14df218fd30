package store

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	// maxCopied bounds the entries that one call copies, exports or imports.
	maxCopied = 100_000
	// copyPiece is how much of a file is copied between two looks at whether the caller is there.
	copyPiece = 4 << 20
)

// Copy copies a file or directory: where nobody sees it first, so that it appears as a whole or not at all.
func (w *Workspace) Copy(ctx context.Context, req *sandgatev1.CopyRequest) (*sandgatev1.CopyResponse, error) {
	if path := filepath.Clean(req.GetSource()); path != w.home && within(w.home, path) {
		return nil, errOntoItself(path)
	}
	return on(w, req.GetSource(), func(v *view, source string) (*sandgatev1.CopyResponse, error) {
		destination, err := w.checked(req.GetDestination())
		if err != nil {
			return nil, err
		}
		c := &copying{view: v, source: source, room: claim{ledger: &v.used}, name: rand.Text(), res: &sandgatev1.CopyResponse{}}
		if err := c.run(ctx, destination, req.GetOverwrite()); err != nil {
			return nil, fileError(source+" -> "+destination, err)
		}
		if c.res.File, err = v.describe(destination); err != nil {
			return nil, fileError(destination, err)
		}
		return c.res, nil
	})
}

// copying is one copy.
type copying struct {
	view    *view
	source  string
	name    string // of the copy in the stage
	room    claim
	folders []copied // whose modes are set when they are filled
	entries int
	extent  extent
	res     *sandgatev1.CopyResponse
}

// copied is a directory in the stage.
type copied struct {
	path string
	mode uint32
}

func (c *copying) run(ctx context.Context, destination string, overwrite bool) error {
	from, err := c.view.find(c.source, false)
	if err != nil {
		return err
	}
	defer from.close()
	e := entry{in: from.folder, name: from.name, path: c.source}
	if e.stat, err = from.stat(from.name); err != nil {
		return err
	}
	if err := c.goes(from, e, destination, overwrite); err != nil {
		return err
	}
	if err := c.view.change(func() error { return c.view.makeDirectories(filepath.Dir(destination)) }); err != nil {
		return err
	}
	if err = c.fill(ctx, e); err == nil {
		err = c.view.change(func() error { return c.finish(destination, overwrite) })
	}
	if err == nil {
		c.room.keep()
		return nil
	}
	r := remover{ctx: context.WithoutCancel(ctx), force: true}
	if undoErr := r.remove(c.view.stage, c.name, 0); !errors.Is(undoErr, fs.ErrNotExist) {
		err = errors.Join(err, undoErr)
	}
	c.room.release()
	return err
}

// goes reports why an entry cannot be copied to a place: it is there already, or the place is in it.
func (c *copying) goes(from spot, e entry, destination string, overwrite bool) error {
	to, err := c.view.find(destination, false)
	if err == nil {
		defer to.close()
		stat, statErr := to.stat(to.name)
		switch {
		case errors.Is(statErr, unix.ENOENT):
		case statErr != nil:
			return statErr
		case stat.Ino == e.stat.Ino:
			return errOntoItself(c.source)
		case !overwrite:
			return fs.ErrExist
		}
		if e.is(unix.S_IFDIR) && within(to.path, from.path) {
			return errOntoItself(c.source)
		}
		return nil
	}
	if !errors.Is(err, unix.ENOENT) || destination == c.view.home {
		return err
	}
	return c.goes(from, e, filepath.Dir(destination), true) // there is nothing yet: what counts is what is above it
}

func errOntoItself(path string) error {
	return fail(connect.CodeInvalidArgument, "COPY_ONTO_ITSELF", "choose a destination outside of it", "%q cannot be copied onto or into itself", path)
}

// fill makes the copy.
func (c *copying) fill(ctx context.Context, e entry) error {
	if err := c.take(ctx, e, c.name); err != nil || !e.is(unix.S_IFDIR) {
		return err
	}
	w := &walk{view: c.view, root: c.source}
	err := w.each(ctx, func(e entry) (bool, error) {
		c.extent = c.extent.with(e)
		if err := c.take(ctx, e, c.name+"/"+e.rel); err != nil {
			return false, fileError(e.path, err)
		}
		if !e.is(unix.S_IFDIR) {
			return true, nil
		}
		if err := w.enter(e); err != nil {
			return false, err
		}
		if w.unreadable > 0 {
			return false, fail(connect.CodeFailedPrecondition, "DIRECTORY_UNREADABLE", "copy less, or use the shell: cp -a",
				"the directory %q may not be read, or is more than %d directories deep", e.path, maxWalkDepth)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, folder := range slices.Backward(c.folders) {
		if err := unix.Fchmodat(c.view.stage.at(), folder.path, folder.mode, 0); err != nil {
			return err
		}
	}
	return nil
}

// take copies an entry to a path in the stage.
func (c *copying) take(ctx context.Context, e entry, path string) error {
	if c.entries++; c.entries > maxCopied {
		return fail(connect.CodeFailedPrecondition, "DIRECTORY_TOO_LARGE", "copy less, or use the shell: cp -a",
			"there are more than %d files", maxCopied)
	}
	switch {
	case e.err != nil:
		return e.err
	case e.is(unix.S_IFDIR):
		if err := c.room.take(0, 1); err != nil {
			return err
		}
		c.folders = append(c.folders, copied{path, e.stat.Mode & 0o777})
		c.res.Directories++
		return unix.Mkdirat(c.view.stage.at(), path, ownerAll)
	case e.is(unix.S_IFLNK):
		target, err := e.in.readLink(e.name)
		if err == nil {
			err = c.room.take(int64(len(target)), 1)
		}
		if err == nil {
			err = unix.Symlinkat(target, c.view.stage.at(), path)
		}
		c.res.Files++
		return err
	case e.is(unix.S_IFREG):
		c.res.Files++
		return c.copy(ctx, e, path)
	case e.path == c.source:
		return unix.ENXIO
	default:
		c.res.Skipped++
		return nil
	}
}

// copy copies a file.
func (c *copying) copy(ctx context.Context, e entry, path string) error {
	from, _, err := e.in.file(e.name, unix.O_RDONLY, ownerRead)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if err := c.room.take(0, 1); err != nil {
		return err
	}
	fd, err := unix.Openat(c.view.stage.at(), path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	to := os.NewFile(uintptr(fd), path)
	err = unix.Fchmod(fd, e.stat.Mode&0o777)
	for err == nil {
		if err = ctx.Err(); err == nil {
			err = c.piece(to, from)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, to.Close())
}

// piece copies the next piece of a file, for which it takes room before. It returns io.EOF at the end.
func (c *copying) piece(to io.Writer, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	at, err := from.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	size := min(info.Size()-at, copyPiece)
	if size <= 0 {
		return io.EOF
	}
	if err := c.room.take(size, 0); err != nil {
		return err
	}
	n, err := io.CopyN(to, from, size)
	c.res.Bytes += n
	if errors.Is(err, io.EOF) { // it was cut meanwhile
		c.room.bytes -= size - n
		c.room.ledger.give(size-n, 0)
	}
	return err
}

// finish gives the copy its name. It must be called in a change.
func (c *copying) finish(destination string, overwrite bool) error {
	to, _, err := c.view.free(destination, overwrite)
	if err != nil {
		return err
	}
	defer to.close()
	if err := c.view.at(to, c.extent); err != nil && len(c.folders) > 0 {
		return err
	}
	return c.view.place(c.name, to)
}
