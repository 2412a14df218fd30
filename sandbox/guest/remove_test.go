package guest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newRemover returns a remover of the directory "tree", which has some files, in a new directory.
func newRemover(t *testing.T, files int) *remover {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(tree, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &remover{path: tree, base: directory(fd), steps: minRemoveSteps, buf: make([]byte, direntBuffer), failed: map[failure]bool{}}
	stat, err := r.base.stat()
	if err != nil {
		t.Fatal(err)
	}
	r.device = stat.Dev
	t.Cleanup(func() {
		r.close()
		r.base.close()
	})
	return r
}

// TestRemoveIsBounded ends a removal that has no end.
func TestRemoveIsBounded(t *testing.T) {
	r := newRemover(t, 100)
	r.steps = 50
	if err := r.run(t.Context(), "tree"); err == nil || !strings.Contains(err.Error(), "changes while it is removed") {
		t.Errorf("out of steps: %v", err)
	}
	r = newRemover(t, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.run(ctx, "tree"); !errors.Is(err, context.Canceled) {
		t.Errorf("without a caller: %v", err)
	}
	if r = newRemover(t, 100); r.run(t.Context(), "tree") != nil {
		t.Error("what is neither stays")
	}
}

// TestRemoveStaysInFileSystem meets the place where another file system begins. Not every machine
// lets a test mount one, so that the directory is said to be on another.
func TestRemoveStaysInFileSystem(t *testing.T) {
	r := newRemover(t, 1)
	r.device++
	if err := r.run(t.Context(), "tree"); err == nil || !strings.Contains(err.Error(), "another file system") {
		t.Errorf("across file systems: %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.path, "0")); err != nil {
		t.Error(err)
	}
}

// TestUserWaitsNoLongerThanCaller has every thread busy.
func TestUserWaitsNoLongerThanCaller(t *testing.T) {
	u := user{id: 1, slots: make(chan struct{}, 1)}
	u.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.do(ctx, func() error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("without a thread: %v", err)
	}
}
