package store

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// house is a workspace with a client.
type house struct {
	*testing.T
	sandgatev1connect.FileServiceClient

	w   *Workspace
	dir string
}

func newHouse(t *testing.T, limits Limits) *house {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "w")
	w, err := Open(dir, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.Close(), Remove(context.Background(), dir)); err != nil {
			t.Error(err)
		}
	})
	mux := http.NewServeMux()
	mux.Handle(sandgatev1connect.NewFileServiceHandler(w))
	client := &http.Client{Transport: sandboxtest.Serve(t, mux).Transport()}
	return &house{T: t, FileServiceClient: sandgatev1connect.NewFileServiceClient(client, sandbox.GuestURL), w: w, dir: dir}
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) write(path, text string) error {
	_, err := h.Write(h.Context(), &sandgatev1.WriteRequest{Path: path, Content: &sandgatev1.WriteRequest_Text{Text: text}})
	return err
}

func (h *house) put(path, text string) {
	h.Helper()
	h.must(h.write(path, text))
}

func (h *house) text(path string) (string, error) {
	res, err := h.Read(h.Context(), &sandgatev1.ReadRequest{Path: path})
	return res.GetText(), err
}

func (h *house) makeDir(path string) error {
	_, err := h.MakeDir(h.Context(), &sandgatev1.MakeDirRequest{Path: path})
	return err
}

func (h *house) remove(path string) error {
	_, err := h.Remove(h.Context(), &sandgatev1.RemoveRequest{Path: path, Recursive: true})
	return err
}

func (h *house) upload(path string, pieces ...string) error {
	stream, err := h.Upload(h.Context())
	h.must(err)
	_ = stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: path}}})
	for _, piece := range pieces {
		_ = stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: []byte(piece)}})
	}
	_, err = stream.CloseAndReceive()
	return err
}

func (h *house) export(path string) ([]byte, error) {
	stream, err := h.Export(h.Context(), &sandgatev1.ExportRequest{Path: path})
	h.must(err)
	defer func() { _ = stream.Close() }()
	var archive []byte
	for stream.Receive() {
		archive = append(archive, stream.Msg().GetData()...)
	}
	return archive, stream.Err()
}

func (h *house) unpack(path string, archive []byte) (*sandgatev1.ImportResponse, error) {
	stream, err := h.Import(h.Context())
	h.must(err)
	_ = stream.Send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Header{Header: &sandgatev1.ImportHeader{Path: path}}})
	for len(archive) > 0 {
		piece := archive[:min(len(archive), 100_000)]
		if stream.Send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Data{Data: piece}}) != nil {
			break // the answer says why
		}
		archive = archive[len(piece):]
	}
	return stream.CloseAndReceive()
}

// pack makes an archive. A body is for a regular file of that size.
func pack(tb testing.TB, headers ...tar.Header) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range headers {
		if header.Mode == 0 {
			header.Mode = 0o755
		}
		if err := w.WriteHeader(&header); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.CopyN(w, zeros{}, header.Size); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// counted counts what is in the directory, in a way of its own.
func (h *house) counted() Limits {
	h.Helper()
	var sum Limits
	seen := map[uint64]bool{}
	err := filepath.WalkDir(filepath.Join(h.dir, treeName), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == filepath.Join(h.dir, treeName) {
			return err
		}
		sum.Files++
		info, err := entry.Info()
		if err != nil || entry.IsDir() {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && !seen[stat.Ino] {
			seen[stat.Ino] = true
			sum.Bytes += info.Size()
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.Fatal(err)
	}
	return sum
}

// settled checks that the books are right, now and after a crash, and that nothing unfinished is left.
func (h *house) settled() {
	h.Helper()
	want := h.counted()
	if got := h.w.Usage(); got != want {
		h.Errorf("the books say %+v, there is %+v", got, want)
	}
	again, err := Open(h.dir, Limits{})
	h.must(err)
	if got := again.Usage(); got != want {
		h.Errorf("counted anew: %+v, there is %+v", got, want)
	}
	if left, err := os.ReadDir(filepath.Join(h.dir, stageName)); len(left) > 0 {
		h.Errorf("left in the stage: %v, %v", left, err)
	}
}

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
	if each := (int64(memory()) - int64(before)) / many; each > most {
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
