package store

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// TestIdle opens as many workspaces as a gateway may have sessions.
func TestIdle(t *testing.T) {
	const many, most = 10_000, 4 << 10
	dir := t.TempDir()
	descriptors := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	memory := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc + stats.StackInuse
	}
	fds, goroutines, before := descriptors(), runtime.NumGoroutine(), memory()
	all := make([]*Workspace, 0, many)
	for i := range many {
		w, err := Open(filepath.Join(dir, string(rune('a'+i%26)), strings.Repeat("x", i%200)), Limits{Bytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 { // some were used
			if _, err := w.ListFiles(t.Context(), &sandgatev1.ListFilesRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, w)
	}
	each := (int64(memory()) - int64(before)) / many
	t.Logf("an idle workspace takes %d bytes", each)
	if each > most {
		t.Errorf("an idle workspace takes %d bytes, want at most %d", each, most)
	}
	if got := descriptors(); got > fds {
		t.Errorf("%d descriptors, before there were %d", got, fds)
	}
	if got := runtime.NumGoroutine(); got > goroutines {
		t.Errorf("%d goroutines, before there were %d", got, goroutines)
	}
	for _, w := range all {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClose changes nothing any more, and removes everything, whatever its mode.
func TestClose(t *testing.T) {
	h := newHouse(t, Limits{})
	_, err := h.unpack("", pack(t, tar.Header{Name: "shut/in/", Mode: 0o1}, tar.Header{Name: "shut/in/f", Mode: 0o4, Size: 3}, tar.Header{Name: "shut/", Mode: 0o4}))
	h.must(err)
	watch, err := h.Watch(t.Context(), &sandgatev1.WatchRequest{})
	h.must(err)
	if !watch.Receive() {
		t.Fatal(watch.Err())
	}
	stream, err := h.Upload(t.Context())
	h.must(err)
	h.must(stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: "late"}}}))
	h.must(stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: []byte("x")}}))
	h.must(h.w.Close())
	if watch.Receive(); connect.CodeOf(watch.Err()) != connect.CodeUnavailable {
		t.Errorf("a watch ended with %v", watch.Err())
	}
	_ = watch.Close()
	_, err = stream.CloseAndReceive()
	sandboxtest.WantError(t, err, connect.CodeUnavailable, "WORKSPACE_CLOSED")
	sandboxtest.WantError(t, h.write("f", "x"), connect.CodeUnavailable, "WORKSPACE_CLOSED")
	_, err = os.Stat(filepath.Join(h.dir, treeName, "late"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file appeared after the end")
	}
	h.must(Remove(t.Context(), h.dir))
	if _, err := os.Lstat(h.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
	h.must(Remove(t.Context(), h.dir))
}

// TestCrash opens what a crash left.
func TestCrash(t *testing.T) {
	h := newHouse(t, Limits{})
	h.put("a/f", "12345")
	_, err := h.unpack("", pack(t, tar.Header{Name: "shut/f", Size: 10}, tar.Header{Name: "shut/g", Typeflag: tar.TypeLink, Linkname: "shut/f"},
		tar.Header{Name: "s", Typeflag: tar.TypeSymlink, Linkname: "abc"}, tar.Header{Name: "shut/", Mode: 0o1}))
	h.must(err)
	h.must(os.MkdirAll(filepath.Join(h.dir, stageName, "copy/of"), 0o700))
	h.must(os.Chmod(filepath.Join(h.dir, stageName, "copy"), 0o100))
	h.must(os.WriteFile(filepath.Join(h.dir, stageName, "piece"), []byte("half"), 0o600))
	again, err := Open(h.dir, Limits{})
	h.must(err)
	if got, want := again.Usage(), (Limits{Bytes: 18, Files: 6}); got != want || got != h.w.Usage() {
		t.Errorf("%+v, want %+v; before the crash %+v", got, want, h.w.Usage())
	}
	if _, err := os.Lstat(filepath.Join(h.dir, stageName)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something unfinished is left")
	}
}
