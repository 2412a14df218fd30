package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// treeDepth is how deep a remote folder is walked: the most that the API lists.
const treeDepth = 64

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
			c.unnamed++
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
			c.skipped++
			return nil
		default:
			return c.uploadFile(ctx, name, target)
		}
	})
}

// pullTree downloads a folder into a local one. The names in it were made by untrusted code: one
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
	prefix := strings.TrimSuffix(absolute, "/") + "/"
	request := &sandgatev1.ListFilesRequest{SessionId: source.session, Path: absolute, Depth: treeDepth}
	for {
		page, err := c.client.files.ListFiles(ctx, request)
		if err != nil {
			return err
		}
		for _, file := range page.GetFiles() {
			relative, ok := strings.CutPrefix(file.GetPath(), prefix)
			if !ok || !filepath.IsLocal(relative) {
				return fmt.Errorf("the listing holds %q, which is not below %s", file.GetPath(), absolute)
			}
			if err := c.pullEntry(ctx, location{session: source.session, path: file.GetPath()}, root, relative, file); err != nil {
				return err
			}
		}
		next := page.GetNextPageToken()
		if next == "" || next == request.GetPageToken() {
			return nil
		}
		request.PageToken = next
	}
}

// pullEntry copies one entry of a folder.
func (c *copier) pullEntry(ctx context.Context, source location, root *os.Root, relative string, file *sandgatev1.FileInfo) error {
	switch file.GetType() {
	case sandgatev1.FileType_FILE_TYPE_DIRECTORY:
		return root.MkdirAll(relative, 0o755)
	case sandgatev1.FileType_FILE_TYPE_FILE:
		if err := root.MkdirAll(filepath.Dir(relative), 0o755); err != nil {
			return err
		}
		return c.downloadInto(ctx, source, root, relative, file)
	default:
		c.skipped++
		return nil
	}
}
