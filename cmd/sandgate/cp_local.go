package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// pullFile downloads one file to where its name leads, as cp does: a symbolic link is followed, and
// what is no regular file is written into.
func (c *copier) pullFile(ctx context.Context, source location, target string, file *sandgatev1.FileInfo) error {
	info, err := os.Stat(target)
	fd, isDescriptor := descriptor(target)
	switch {
	case isDescriptor:
		return c.writeInto(ctx, source, file, func() (*os.File, error) { return openDescriptor(fd, target) })
	case err == nil && !info.Mode().IsRegular():
		return c.writeInto(ctx, source, file, func() (*os.File, error) { return os.OpenFile(target, os.O_WRONLY, 0) })
	case err == nil:
		target, err = filepath.EvalSymlinks(target)
	case errors.Is(err, fs.ErrNotExist):
		// A link to nothing is no place to write to: what is at its end was never named by anybody.
		if _, linkErr := os.Lstat(target); linkErr == nil {
			return usagef("%s is a symbolic link to nothing", target)
		}
		err = nil
	}
	if err != nil {
		return localError(err)
	}
	root, err := os.OpenRoot(filepath.Dir(target))
	if err != nil {
		return localError(err)
	}
	defer func() { _ = root.Close() }() // a folder has nothing to lose
	return c.downloadInto(ctx, source, root, filepath.Base(target), file)
}

// downloadInto downloads a file into a folder: beside its place, where it moves once it is
// complete. Its name may have been made by untrusted code: root keeps it inside, and it must not
// choose a link or a device of ours to be written.
func (c *copier) downloadInto(ctx context.Context, source location, root *os.Root, name string, file *sandgatev1.FileInfo) error {
	old, err := root.Lstat(name)
	if err == nil && !old.Mode().IsRegular() {
		return usagef("%s is in the way: it exists and is no regular file", filepath.Join(root.Name(), name))
	}
	mode := fileMode(file.GetMode())
	if file.GetType() != sandgatev1.FileType_FILE_TYPE_FILE {
		mode = fileMode(0) // a link's own mode says nothing of the file behind it
	}
	if old != nil {
		mode = 0o600 // until it has the mode of the one that it replaces
	}
	// Nobody can guess the name, so nobody can put something there first.
	partial := filepath.Join(filepath.Dir(name), ".sandgate-"+rand.Text())
	out, err := root.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrPermission) {
		return usagef("%s: its folder may not be written", filepath.Join(root.Name(), name))
	}
	if err != nil {
		return fmt.Errorf("make the local file: %w", err)
	}
	err = c.download(ctx, source, out, file.GetSize())
	if err == nil && old != nil {
		err = out.Chmod(old.Mode().Perm())
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = root.Rename(partial, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(partial))
	}
	return nil
}

// writeInto downloads a file into something that open opens. A pipe makes open wait for its reader,
// and writes for its reading: the end of ctx ends both.
func (c *copier) writeInto(ctx context.Context, source location, file *sandgatev1.FileInfo, open func() (*os.File, error)) error {
	type outcome struct {
		out *os.File
		err error
	}
	opened := make(chan outcome, 1)
	go func() { // ends with open, which cannot be cancelled
		out, err := open()
		opened <- outcome{out, err}
	}()
	var out *os.File
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-opened:
		if got.err != nil {
			return localError(got.err)
		}
		out = got.out
	}
	stop := context.AfterFunc(ctx, func() {
		_ = out.SetWriteDeadline(time.Unix(1, 0)) // what knows no deadlines does not block either
	})
	defer stop()
	return errors.Join(c.download(ctx, source, out, file.GetSize()), out.Close())
}

// descriptor returns the open file of ours that a name such as /dev/stdout or /dev/fd/63 means.
func descriptor(name string) (fd int, ok bool) {
	switch name = filepath.Clean(name); name {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, folder := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if number, found := strings.CutPrefix(name, folder); found {
			fd, err := strconv.Atoi(number)
			return fd, err == nil && fd >= 0
		}
	}
	return 0, false
}

// openDescriptor opens an open file of ours once more. Opening its name would fail for a socket, and
// lose the place where the shell's own output goes on.
func openDescriptor(fd int, name string) (*os.File, error) {
	again, err := syscall.Dup(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(again), name), nil
}

// fileMode keeps of a remote mode whether the file is a program, and nothing else.
func fileMode(mode uint32) os.FileMode {
	if mode&0o100 != 0 {
		return 0o755
	}
	return 0o644
}
