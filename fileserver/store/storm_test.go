package store

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// TestStorm changes directories into links that lead out, and back, below every call that can be made: nothing of
// what is outside is ever told, changed or removed. Whoever does it works on the directory itself, which no caller
// can: what stands that stands all that callers do to one another.
func TestStorm(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{Bytes: 1 << 20, Files: 1000})
	secret, check := h.outside()
	h.put("a/b/secret", "inside")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	if swaps, err := strconv.Atoi(os.Getenv("STORM_SWAPS")); err == nil { // as many as are asked for, however long it takes
		ctx, cancel = context.WithCancel(t.Context())
		h.swaps = swaps
	}
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		defer cancel()
		t.Logf("%d exchanges", h.swap(ctx, secret))
	})
	told := func(what string, data []byte) {
		if bytes.Contains(data, []byte("s3cret")) {
			t.Errorf("%s told what is outside", what)
		}
	}
	for _, call := range []func(){
		func() {
			got, _ := h.text("c/f")
			told("read", []byte(got))
		},
		func() { _ = appendTo(h, "c/f", "inside") },
		func() { _ = copyTo(h, "c", "copy") },
		func() {
			got, _ := h.text("a/b/secret")
			told("read", []byte(got))
		},
		func() {
			archive, _ := h.export("a")
			told("export", archive)
		},
		func() {
			res, _ := h.Grep(ctx, &sandgatev1.GrepRequest{Pattern: "s3cret"})
			told("grep", []byte(strings.Repeat("s3cret", int(res.GetMatches()))))
		},
		func() { _ = h.write("a/b/secret", "inside") },
		func() { _ = h.upload("a/b/new", "inside") },
		func() { _ = appendTo(h, "a/b/secret", "inside") },
		func() { _ = h.makeDir("a/b/made") },
		func() { _ = h.remove("a/b/new") },
		func() { _ = h.remove("a/b") },
		func() { _ = moved(h, "a/b/secret", "a/b/moved") },
		func() { _ = moved(h, "a/b/secret", "stolen") },
		func() { _ = copyTo(h, "a/b", "copy") },
		func() { _ = h.remove("copy") },
		func() { _, _ = h.unpack("a/b", pack(t, tar.Header{Name: "new"}, tar.Header{Name: "made/x"})) },
		func() {
			res, _ := h.ListFiles(ctx, &sandgatev1.ListFilesRequest{Path: "a/b", Depth: 3})
			for _, file := range res.GetFiles() {
				if file.GetSize() == int64(len("s3cret")) && file.GetMode() == 0o600 {
					t.Errorf("list told %v", file)
				}
			}
		},
	} {
		all.Go(func() {
			for ctx.Err() == nil {
				call()
			}
		})
	}
	all.Wait()
	check()
	for _, name := range []string{"stolen", "copy/secret", "a/moved"} {
		got, err := h.text(name)
		if told(name, []byte(got)); err != nil && connect.CodeOf(err) == connect.CodeUnknown {
			t.Error(err)
		}
	}
}

// swap exchanges a/b, which is a directory with a file, with a link to the directory outside, and in the same way
// the file c/f with a link to the secret, as fast as it can. What calls take away it makes anew. It returns how many
// exchanges it has made.
func (h *house) swap(ctx context.Context, secret string) (swaps int) {
	home := filepath.Join(h.dir, treeName)
	path := func(names ...string) string { return filepath.Join(append([]string{home}, names...)...) }
	exchange := func(a, b string) bool {
		if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) != nil {
			return false
		}
		swaps++
		return true
	}
	for i := 0; ctx.Err() == nil && (h.swaps == 0 || swaps < h.swaps); i++ {
		if !exchange(path("a", "b"), path("a", "other")) {
			target := filepath.Dir(secret)
			if i%2 == 0 {
				target = "../../../outside"
			}
			_ = os.RemoveAll(path("a", "b")) // which follows no link
			_ = os.RemoveAll(path("a", "other"))
			_ = os.MkdirAll(path("a", "fresh"), 0o755)
			_ = os.WriteFile(path("a", "fresh", "secret"), []byte("inside"), 0o644)
			_ = os.Rename(path("a", "fresh"), path("a", "b"))
			_ = os.Symlink(target, path("a", "other"))
		}
		if !exchange(path("c", "f"), path("c", "other")) {
			_ = os.RemoveAll(path("c"))
			_ = os.MkdirAll(path("c"), 0o755)
			_ = os.WriteFile(path("c", "fresh"), []byte("inside"), 0o644)
			_ = os.Rename(path("c", "fresh"), path("c", "f"))
			_ = os.Symlink(secret, path("c", "other"))
		}
	}
	return swaps
}
