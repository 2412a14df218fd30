package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxRemotePath is the longest path of a file in a session, in bytes: one more no system call takes.
const maxRemotePath = 4095

// pushTree uploads a folder.
func (c *copier) pushTree(ctx context.Context, folder string, destination location) error {
	return filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, name)
		if err != nil {
			return fmt.Errorf("find the place of %s: %w", name, err)
		}
		if !utf8.ValidString(relative) {
			c.app.notef("%q was left out: its name is not UTF-8", name)
			c.failed++
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		target := location{session: destination.session, path: path.Join(destination.path, filepath.ToSlash(relative))}
		switch {
		case entry.IsDir():
			_, err := c.client.files.MakeDir(ctx, &sandgatev1.MakeDirRequest{SessionId: target.session, Path: target.path})
			return err
		case !entry.Type().IsRegular():
			c.skip(name)
			return nil
		default:
			return c.uploadFile(ctx, name, target)
		}
	})
}

// pullTree downloads a folder into a local one. Each folder in it is listed by itself: so none is too
// deep, and one that cannot be listed is noticed. The names in it were made by untrusted code: one
// that would lead out of the local folder is refused, and root holds even if this had a hole.
func (c *copier) pullTree(ctx context.Context, source location, absolute, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return localError(err)
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return localError(err)
	}
	defer func() { _ = root.Close() }() // a folder has nothing to lose
	left := []folder{{location{session: source.session, path: absolute}, "."}}
	for len(left) > 0 {
		next := left[len(left)-1]
		found, err := c.pullFolder(ctx, next, root)
		if next.local != "." {
			err = c.leftOut(next.remote.path, err)
		}
		if err != nil {
			return err
		}
		left = append(left[:len(left)-1], found...)
	}
	return nil
}

// folder is one in a session, and its place below the local one.
type folder struct {
	remote location
	local  string
}

// pullFolder copies the files in a folder and returns the folders in it.
func (c *copier) pullFolder(ctx context.Context, from folder, root *os.Root) ([]folder, error) {
	var found []folder
	prefix := strings.TrimSuffix(from.remote.path, "/") + "/"
	request := &sandgatev1.ListFilesRequest{SessionId: from.remote.session, Path: from.remote.path}
	for {
		page, err := c.client.files.ListFiles(ctx, request)
		if err != nil {
			return nil, err
		}
		if err := root.MkdirAll(from.local, 0o755); err != nil {
			return nil, localError(err)
		}
		for _, file := range page.GetFiles() {
			name, ok := strings.CutPrefix(file.GetPath(), prefix)
			if !ok || !filepath.IsLocal(name) || strings.ContainsRune(name, '/') {
				return nil, fmt.Errorf("the listing holds %q, which is not below %s", file.GetPath(), from.remote.path)
			}
			at := folder{location{session: from.remote.session, path: file.GetPath()}, filepath.Join(from.local, name)}
			if file.GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY && len(file.GetPath()) <= maxRemotePath {
				found = append(found, at)
				continue
			}
			if err := c.leftOut(file.GetPath(), c.pullEntry(ctx, at, root, file)); err != nil {
				return nil, err
			}
		}
		next := page.GetNextPageToken()
		if next == "" || next == request.GetPageToken() {
			return found, nil
		}
		request.PageToken = next
	}
}

// pullEntry copies one entry of a folder that is no folder.
func (c *copier) pullEntry(ctx context.Context, from folder, root *os.Root, file *sandgatev1.FileInfo) error {
	switch {
	case len(file.GetPath()) > maxRemotePath:
		return errTooLong
	case file.GetType() == sandgatev1.FileType_FILE_TYPE_FILE:
		return c.downloadInto(ctx, from.remote, root, from.local, file)
	case file.GetType() == sandgatev1.FileType_FILE_TYPE_OTHER && file.GetModifiedAt() == nil:
		return errHidden
	}
	c.skip(file.GetPath())
	return nil
}

// Why an entry of a remote folder is left out without asking for it.
var (
	errTooLong = errors.New("its path is too long")
	errHidden  = errors.New("it may not be looked at")
)

// leftOut tells about an entry of a remote folder that cannot be copied, and returns nil if the rest
// can: as with cp it is left out, and the exit code says so at the end.
func (c *copier) leftOut(name string, err error) error {
	if err == nil {
		return nil
	}
	var wire *connect.Error
	switch {
	case errors.Is(err, errTooLong), errors.Is(err, errHidden):
	case isPathMissing(err) && strings.ContainsRune(name, utf8.RuneError):
		err = errors.New("its name is not UTF-8")
	case aboutPath(err) && errors.As(err, &wire):
		err = errors.New(strings.TrimPrefix(wire.Message(), strconv.Quote(name)+": "))
	default:
		return err
	}
	c.app.notef("%q was left out: %v", name, err)
	c.failed++
	return nil
}

// aboutPath reports whether an error of the gateway is about the one path that was asked for.
func aboutPath(err error) bool {
	switch errorReason(err) {
	case "FILE_PERMISSION", "FILE_ERROR", "SYSTEM_PATH", "BAD_PATH", "NOT_A_FILE", "IS_A_DIRECTORY", "NOT_A_DIRECTORY", "DIRECTORY_TOO_LARGE":
		return true
	}
	return isPathMissing(err)
}
