package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// cpCommand is `sandgate cp`.
func (a *app) cpCommand() *cobra.Command {
	var recursive bool
	cmd := &cobra.Command{
		Use:     "cp SOURCE DESTINATION",
		Short:   "Copy files to and from a session",
		GroupID: groupUse,
		Args:    namedArguments,
		Long: `Copies a file, or a folder with -r, between here and a session. SESSION:PATH is a path in
a session, relative to /home/user; - is standard input or output. Write ./a:b for a
local file with a colon in its name.

A file appears at its destination when it is complete, and not otherwise. As with cp a
local symbolic link is followed, a device, a pipe or /dev/fd/N is written into, and a
file that exists keeps its mode.

Of a folder, files and folders are copied. Symbolic links and special files are left
out: they are told about, and the exit code stays 0. Files and folders that cannot be
copied are told about too, the rest is copied, and the exit code is 1.`,
		Example: `  sandgate cp data.csv $id:data.csv
  sandgate cp $id:report.html .
  sandgate cp -r src/ $id:src
  tar c . | sandgate cp - $id:all.tar
  sandgate cp $id:results.json - | jq .`,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			return a.copyFiles(ctx, parseLocation(args[0]), parseLocation(args[1]), recursive)
		}),
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "copy a folder with everything in it")
	return cmd
}

// location is one end of a copy.
type location struct {
	session string // empty: it is local
	path    string // "-" and local: standard input or output
}

// parseLocation reads an argument. What stands before a colon is a session if it could be the id
// of one.
func parseLocation(text string) location {
	session, rest, found := strings.Cut(text, ":")
	if !found || session == "" || strings.ContainsAny(session, "/\\. ") {
		return location{path: text}
	}
	return location{session: session, path: rest}
}

func (l location) remote() bool { return l.session != "" }

func (l location) standard() bool { return l.session == "" && l.path == "-" }

// copyFiles copies from one location to the other, one of which is in a session.
func (a *app) copyFiles(ctx context.Context, source, destination location, recursive bool) error {
	switch {
	case !source.remote() && !destination.remote():
		return usagef("one of the two must be in a session, written SESSION:PATH")
	case source.remote() && destination.remote():
		return usagef("one of the two must be local: copy it here first")
	case source.path == "" && !source.remote(), destination.path == "" && !destination.remote():
		return usagef("a path is empty")
	}
	for _, end := range []location{source, destination} {
		if err := checkText("the path in the session", end.path); end.remote() && err != nil {
			return err
		}
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	copier := &copier{app: a, client: c}
	if destination.remote() {
		return aboutSession(destination.session, copier.push(ctx, source, destination, recursive))
	}
	return aboutSession(source.session, copier.pull(ctx, source, destination, recursive))
}

// copier copies files. It is not safe for concurrent use.
type copier struct {
	app     *app
	client  *client
	skipped []string // what was left out of a folder: no files; the first maxSkippedNames of them
	more    int      // how many there were besides
	failed  int      // what was left out of a folder: files that cannot be copied
}

// push copies something local to a session.
func (c *copier) push(ctx context.Context, source, destination location, recursive bool) error {
	if source.standard() {
		if destination.path == "" || strings.HasSuffix(destination.path, "/") {
			return usagef("name the file that standard input becomes")
		}
		return c.upload(ctx, destination, upload{content: c.app.input(ctx), size: -1})
	}
	info, err := os.Stat(source.path)
	if err != nil {
		return localError(err)
	}
	destination.path, err = c.remoteTarget(ctx, destination, filepath.Base(source.path))
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return c.uploadFile(ctx, source.path, destination)
	}
	if !recursive {
		return usagef("%s is a folder; -r copies it with everything in it", source.path)
	}
	return c.done(c.pushTree(ctx, source.path, destination))
}

// remoteTarget is the path that something called base gets: below the destination where that is a
// folder, else the destination itself.
func (c *copier) remoteTarget(ctx context.Context, destination location, base string) (string, error) {
	if base == "." || base == ".." || base == string(filepath.Separator) {
		base = ""
	}
	if destination.path == "" || strings.HasSuffix(destination.path, "/") {
		return path.Join(destination.path, base), nil
	}
	reply, err := c.client.files.Stat(ctx, &sandgatev1.StatRequest{SessionId: destination.session, Path: destination.path})
	switch {
	case err == nil && reply.GetFile().GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY:
		return path.Join(destination.path, base), nil
	case err == nil || isPathMissing(err):
		return destination.path, nil
	default:
		return "", err
	}
}

// pull copies something from a session to here.
func (c *copier) pull(ctx context.Context, source, destination location, recursive bool) error {
	if source.path == "" {
		source.path = "/home/user"
	}
	reply, err := c.client.files.Stat(ctx, &sandgatev1.StatRequest{SessionId: source.session, Path: source.path})
	if err != nil {
		return err
	}
	file := reply.GetFile()
	isFolder := file.GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY
	if destination.standard() {
		if isFolder {
			return usagef("%s is a folder and cannot be written to standard output", source.path)
		}
		return c.download(ctx, source, c.app.out, file.GetSize())
	}
	target := destination.path
	if info, statErr := os.Stat(target); (statErr == nil && info.IsDir()) || strings.HasSuffix(target, string(filepath.Separator)) {
		target = filepath.Join(target, path.Base(path.Clean("/"+source.path)))
	}
	if !isFolder {
		return c.pullFile(ctx, source, target, file)
	}
	if !recursive {
		return usagef("%s is a folder; -r copies it with everything in it", source.path)
	}
	return c.done(c.pullTree(ctx, source, file.GetPath(), target))
}

// maxSkippedNames bounds how many names of what was left out are told.
const maxSkippedNames = 5

// skip takes note of something in a folder that is no file, and so is left out.
func (c *copier) skip(name string) {
	if len(c.skipped) < maxSkippedNames {
		c.skipped = append(c.skipped, strconv.Quote(name))
	} else {
		c.more++
	}
}

// done tells what was left out of a folder.
func (c *copier) done(err error) error {
	names := strings.Join(c.skipped, ", ")
	if c.more > 0 {
		names += fmt.Sprintf(" and %d more", c.more)
	}
	switch count := len(c.skipped) + c.more; count {
	case 0:
	case 1:
		c.app.notef("1 symbolic link or special file was left out: %s", names)
	default:
		c.app.notef("%d symbolic links and special files were left out: %s", count, names)
	}
	if err == nil && c.failed > 0 {
		return exitError{code: exitFailed}
	}
	return err
}
