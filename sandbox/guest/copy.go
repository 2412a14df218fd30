package guest

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
	// maxCopied bounds the entries that one call copies.
	maxCopied = 100_000
	// copyBatch is how many files a copy opens before it copies what is in them.
	copyBatch = 32
	// copyPiece is how much of a file is copied between two looks at whether the caller is there.
	copyPiece = 4 << 20
)

// Copy copies a file or directory: beside the destination first, so that it appears as a whole or not at all.
func (s *fileService) Copy(ctx context.Context, req *sandgatev1.CopyRequest) (*sandgatev1.CopyResponse, error) {
	source, err := s.guest.checked(req.GetSource())
	if err != nil {
		return nil, err
	}
	destination, err := s.guest.checked(req.GetDestination())
	if err != nil {
		return nil, err
	}
	c := &copying{
		guest: s.guest, source: source, res: &sandgatev1.CopyResponse{},
		copy: filepath.Join(filepath.Dir(destination), ".sandgate-"+rand.Text()),
	}
	if err := c.run(ctx, destination, req.GetOverwrite()); err != nil {
		return nil, fileError(source+" -> "+destination, err)
	}
	if c.res.File, err = s.describe(ctx, destination); err != nil {
		return nil, fileError(destination, err)
	}
	return c.res, nil
}

// copying is one copy.
type copying struct {
	guest   *Guest
	source  string
	copy    string // the path of the copy until it is whole
	batch   []copied
	folders []copied // whose modes are set when they are filled
	entries int
	res     *sandgatev1.CopyResponse
}

// copied is a file and its copy, or the path and mode of a directory's.
type copied struct {
	from, to *os.File
	path     string
	mode     uint32
}

func (c *copying) run(ctx context.Context, destination string, overwrite bool) error {
	var e walked
	err := c.guest.asUser(ctx, func() (err error) {
		e, err = c.look(destination, overwrite)
		return err
	})
	if err != nil {
		return err
	}
	defer e.in.close()
	if err = c.fill(ctx, e); err == nil {
		err = c.guest.asUser(ctx, func() error { return c.guest.move(c.copy, destination, overwrite) })
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, c.guest.user.do(c.guest.ctx, c.undo)) // also when the caller has left
}

// undo removes what was copied.
func (c *copying) undo() error {
	c.guest.home.unlock()
	for _, folder := range c.folders {
		_ = unix.Chmod(folder.path, owned) // the removal says what it lacks
	}
	if err := c.guest.remove(c.guest.ctx, c.copy, true); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fill makes the copy.
func (c *copying) fill(ctx context.Context, e walked) error {
	defer c.drop()
	err := c.guest.asUser(ctx, func() error { return c.take(e, c.copy) })
	if err != nil {
		return err
	}
	if _, err := c.move(ctx); err != nil || e.mode() != unix.S_IFDIR {
		return err
	}
	w := &walk{guest: c.guest, root: c.source}
	visit := func(e walked) (step, error) {
		if err := c.take(e, c.copy+"/"+e.rel); err != nil {
			return walkEnd, fileError(e.path, err)
		}
		if e.mode() == unix.S_IFDIR {
			if err := w.enter(e); err != nil {
				return walkEnd, err
			}
			if w.unreadable > 0 {
				return walkEnd, errNotCopied(e.path)
			}
		}
		if len(c.batch) >= copyBatch {
			return walkRest, nil
		}
		return walkOn, nil
	}
	if err := w.run(ctx, visit, func() (step, error) { return c.move(ctx) }); err != nil {
		return err
	}
	return c.guest.user.do(ctx, func() error {
		for _, folder := range slices.Backward(c.folders) {
			if err := unix.Chmod(folder.path, folder.mode); err != nil {
				return err
			}
		}
		return nil
	})
}

func errNotCopied(path string) error {
	return fail(connect.CodeFailedPrecondition, "DIRECTORY_UNREADABLE", "copy less, or use the shell: cp -a",
		"the directory %q may not be read, or is more than %d directories deep", path, maxWalkDepth)
}

// take makes the copy of an entry, and leaves the content of a file for later. It must be called as the user.
func (c *copying) take(e walked, path string) error {
	if c.entries++; c.entries > maxCopied {
		return fail(connect.CodeFailedPrecondition, "DIRECTORY_TOO_LARGE", "copy less, or use the shell: cp -a",
			"there are more than %d files", maxCopied)
	}
	if e.err == nil {
		e.err = c.guest.room(path)
	}
	switch {
	case e.err != nil:
		return e.err
	case e.mode() == unix.S_IFDIR:
		if err := unix.Mkdir(path, 0o700); err != nil {
			return err
		}
		c.res.Directories++
		c.folders = append(c.folders, copied{path: path, mode: e.stat.Mode & 0o777})
		return nil
	case e.mode() == unix.S_IFLNK:
		return c.link(e, path)
	case e.mode() == unix.S_IFREG:
		return c.open(e, path)
	case e.path == c.source:
		return unix.ENXIO
	default:
		c.res.Skipped++
		return nil
	}
}

// link makes the copy of a symbolic link.
func (c *copying) link(e walked, path string) error {
	target, err := e.in.readLink(e.name)
	if err == nil {
		err = unix.Symlink(target, path)
	}
	if err == nil {
		c.res.Files++
	}
	return err
}

// open opens a file and its copy.
func (c *copying) open(e walked, path string) error {
	from, err := e.open()
	if err != nil {
		return err
	}
	mode := e.stat.Mode & 0o777
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	c.res.Files++
	c.batch = append(c.batch, copied{from: from, to: os.NewFile(uintptr(fd), path)})
	if mode&^0o755 != 0 { // the umask took some
		return unix.Fchmod(fd, mode)
	}
	return nil
}

// move copies what is in the open files.
func (c *copying) move(ctx context.Context) (step, error) {
	defer c.drop()
	for _, file := range c.batch {
		for {
			n, err := io.CopyN(file.to, file.from, copyPiece)
			c.res.Bytes += n
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return walkEnd, err
			}
		}
	}
	return walkOn, nil
}

// drop closes the open files.
func (c *copying) drop() {
	for _, file := range c.batch {
		closeAll(file.from, file.to)
	}
	c.batch = c.batch[:0]
}
