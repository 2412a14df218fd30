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
	"syscall"
	"testing"

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

	swaps int // that a storm makes; zero: as many as it can in its time
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
