package fileserver_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/library"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// reader is one session of a gateway that has libraries.
type reader struct {
	*testing.T
	*fileserver.Files

	folder string
	box    sandbox.Sandbox
}

func (r *reader) Sandbox(_ context.Context, id string) (sandbox.Sandbox, error) {
	if id != "ses_1" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such session"))
	}
	return r.box, nil
}

// newReader makes a library `books` with a file and a directory, and what should not be in it.
func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{T: t, folder: t.TempDir()}
	books := filepath.Join(r.folder, "books")
	must(t, os.MkdirAll(filepath.Join(books, "old", "sealed"), 0o755))
	must(t, os.WriteFile(filepath.Join(books, "one.txt"), []byte("first line\nsecond line\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(books, "old", "two.csv"), []byte("name,n\na,1\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(books, "old", "closed"), []byte("x"), 0))
	must(t, os.Symlink("one.txt", filepath.Join(books, "inside")))
	must(t, os.Symlink("/etc/passwd", filepath.Join(books, "outside")))
	must(t, os.Symlink("../../../../../../etc", filepath.Join(books, "up")))
	must(t, unix.Mkfifo(filepath.Join(books, "fifo"), 0o644))
	must(t, os.Chmod(filepath.Join(books, "old", "sealed"), 0))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(books, "old", "sealed"), 0o755) })
	shared, err := library.Open(r.folder, slog.Default())
	must(t, err)
	r.box, err = (&sandboxtest.Fake{}).Create(t.Context(), sandbox.Spec{Template: "python", Runtime: "runc"})
	must(t, err)
	t.Cleanup(func() { _ = r.box.Close(context.Background()) })
	r.Files = fileserver.New(r).WithLibraries(shared)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *reader) text(path string) string {
	r.Helper()
	res, err := r.Read(r.Context(), &sandgatev1.ReadRequest{SessionId: "ses_1", Path: path})
	if err != nil {
		r.Fatal(err)
	}
	return res.GetText()
}

func TestLibrariesAreReadLikeFiles(t *testing.T) {
	r := newReader(t)
	ctx := t.Context()
	list, err := r.ListFiles(ctx, &sandgatev1.ListFilesRequest{SessionId: "ses_1", Path: "/libraries"})
	if err != nil || len(list.GetFiles()) != 1 || list.GetFiles()[0].GetPath() != "/libraries/books" {
		t.Errorf("%v, %v", list, err)
	}
	for _, path := range []string{"/libraries/books/one.txt", "/libraries/books/inside", "/libraries//books/./old/../one.txt"} {
		if got := r.text(path); got != "first line\nsecond line\n" {
			t.Errorf("%s: %q", path, got)
		}
	}
	found, err := r.Grep(ctx, &sandgatev1.GrepRequest{SessionId: "ses_1", Path: "/libraries", Pattern: "second"})
	if err != nil || len(found.GetFiles()) != 1 || found.GetFiles()[0].GetPath() != "/libraries/books/one.txt" {
		t.Errorf("%v, %v", found, err)
	}
	glob, err := r.Glob(ctx, &sandgatev1.GlobRequest{SessionId: "ses_1", Path: "/libraries/books", Pattern: "**/*.csv"})
	if err != nil || len(glob.GetFiles()) != 1 {
		t.Errorf("%v, %v", glob, err)
	}
	glob, err = r.Glob(ctx, &sandgatev1.GlobRequest{SessionId: "ses_1", Pattern: "/libraries/**/*.txt"})
	if err != nil || len(glob.GetFiles()) != 1 {
		t.Errorf("%v, %v", glob, err)
	}
	tree, err := r.Tree(ctx, &sandgatev1.TreeRequest{SessionId: "ses_1", Path: "/libraries"})
	if err != nil || len(tree.GetEntries()) < 4 {
		t.Errorf("%v, %v", tree, err)
	}
	hash, err := r.Hash(ctx, &sandgatev1.HashRequest{SessionId: "ses_1", Paths: []string{"/libraries/books/one.txt"}})
	if err != nil || hash.GetFiles()[0].GetSize() != 23 {
		t.Errorf("%v, %v", hash, err)
	}
}

func TestLibrariesAreCopiedOnDemand(t *testing.T) {
	r := newReader(t)
	ctx := t.Context()
	one := &sandgatev1.CopyRequest{SessionId: "ses_1", Source: "/libraries/books/one.txt", Destination: "mine/one.txt"}
	res, err := r.Copy(ctx, one)
	if err != nil || res.GetBytes() != 23 || !strings.HasSuffix(res.GetFile().GetPath(), "/mine/one.txt") || r.text("mine/one.txt") == "" {
		t.Fatalf("%v, %v", res, err)
	}
	_, err = r.Copy(ctx, one)
	sandboxtest.WantError(t, err, connect.CodeAlreadyExists, "FILE_EXISTS")
	one.Overwrite = true
	if _, err := r.Copy(ctx, one); err != nil {
		t.Error(err)
	}
	all := &sandgatev1.CopyRequest{SessionId: "ses_1", Source: "/libraries/books", Destination: "copy"}
	res, err = r.Copy(ctx, all)
	if err != nil || res.GetFiles() < 3 || r.text("copy/old/two.csv") != "name,n\na,1\n" {
		t.Errorf("%v, %v", res, err)
	}
	// What is in the way stays when the copy fails, and a file gives way to a whole copy only.
	_, err = r.Write(ctx, &sandgatev1.WriteRequest{SessionId: "ses_1", Path: "precious", Content: &sandgatev1.WriteRequest_Text{Text: "kept"}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(r.folder, "books", "old", "large"), make([]byte, 3<<20), 0o644))
	short, cancel := context.WithCancel(ctx)
	cancel()
	over := &sandgatev1.CopyRequest{SessionId: "ses_1", Source: "/libraries/books", Destination: "precious", Overwrite: true}
	if _, err := r.Copy(short, over); err == nil || r.text("precious") != "kept" {
		t.Errorf("%v, %q", err, r.text("precious"))
	}
	if _, err := r.Copy(ctx, over); err != nil || r.text("precious/old/two.csv") == "" {
		t.Error(err)
	}
	list, err := r.ListFiles(ctx, &sandgatev1.ListFilesRequest{SessionId: "ses_1"})
	for _, file := range list.GetFiles() {
		if strings.Contains(file.GetPath(), "/.sandgate-") {
			t.Errorf("%s is left, %v", file.GetPath(), err)
		}
	}
	info, err := os.Stat(filepath.Join(r.folder, "books", "old", "closed"))
	if err != nil || info.Mode().Perm() != 0 {
		t.Errorf("a mode of the operator's was changed: %v, %v", info.Mode(), err)
	}
}

func TestLibrariesCannotBeChangedNorLeft(t *testing.T) {
	r := newReader(t)
	ctx := t.Context()
	const in = "/libraries/books/one.txt"
	text := &sandgatev1.WriteRequest_Text{Text: "x"}
	for name, call := range map[string]func() error{
		"write": func() error {
			_, err := r.Write(ctx, &sandgatev1.WriteRequest{SessionId: "ses_1", Path: in, Content: text})
			return err
		},
		"write a new one": func() error {
			_, err := r.Write(ctx, &sandgatev1.WriteRequest{SessionId: "ses_1", Path: "/libraries/mine/x", Content: text})
			return err
		},
		"edit": func() error {
			_, err := r.Edit(ctx, &sandgatev1.EditRequest{SessionId: "ses_1", Path: in, OldText: "first", NewText: "x"})
			return err
		},
		"remove": func() error {
			_, err := r.Remove(ctx, &sandgatev1.RemoveRequest{SessionId: "ses_1", Path: "/libraries/books", Recursive: true})
			return err
		},
		"move": func() error {
			_, err := r.Move(ctx, &sandgatev1.MoveRequest{SessionId: "ses_1", Source: in, Destination: "/libraries/books/x"})
			return err
		},
		"copy within": func() error {
			_, err := r.Copy(ctx, &sandgatev1.CopyRequest{SessionId: "ses_1", Source: in, Destination: "/libraries/books/x"})
			return err
		},
		"make a directory": func() error {
			_, err := r.MakeDir(ctx, &sandgatev1.MakeDirRequest{SessionId: "ses_1", Path: "/libraries/x"})
			return err
		},
		"watch": func() error {
			return r.Watch(ctx, &sandgatev1.WatchRequest{SessionId: "ses_1", Path: "/libraries"}, func(*sandgatev1.WatchResponse) error { return nil })
		},
	} {
		t.Run(name, func(t *testing.T) { sandboxtest.WantError(t, call(), connect.CodePermissionDenied, "READ_ONLY") })
	}
	for _, path := range []string{"/libraries/books/outside", "/libraries/books/up/passwd", "/libraries/books/fifo", "/libraries/books/old/closed"} {
		if _, err := r.Read(ctx, &sandgatev1.ReadRequest{SessionId: "ses_1", Path: path}); err == nil {
			t.Errorf("%s is read", path)
		}
	}
	_, err := r.Read(ctx, &sandgatev1.ReadRequest{SessionId: "ses_2", Path: in})
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("without a session: %v", err)
	}
	_, err = r.Move(ctx, &sandgatev1.MoveRequest{SessionId: "ses_1", Source: in, Destination: "x"})
	sandboxtest.WantError(t, err, connect.CodeInvalidArgument, "MIXED_PLACES")
	if got := r.text(in); got != "first line\nsecond line\n" {
		t.Errorf("%q", got)
	}
}
