package fileserver_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/tools"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// documentsOf returns what reads the documents of a guest that has one file, whatever it is called.
func documentsOf(tb testing.TB, file func() []byte) *fileserver.Documents {
	tb.Helper()
	files, _ := filesOf(tb, &guest{download: func(_ context.Context, send func(*sandgatev1.DownloadResponse) error) error {
		data := file()
		total := int64(len(data))
		for first := true; first || len(data) > 0; first = false {
			piece := data[:min(len(data), 64<<10)]
			if err := send(&sandgatev1.DownloadResponse{Data: piece, TotalSize: total}); err != nil {
				return err
			}
			data, total = data[len(piece):], 0
		}
		return nil
	}})
	documents := fileserver.NewDocuments(files, compiled)
	tb.Cleanup(func() {
		if err := documents.Close(); err != nil {
			tb.Error(err)
		}
	})
	return documents
}

func sampleOf(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// TestReadDocument reads documents of several formats through the programs that are embedded.
func TestReadDocument(t *testing.T) {
	var file []byte
	documents := documentsOf(t, func() []byte { return file })
	for _, test := range []struct{ path, format, data, want string }{
		{"report.pdf", "pdf", string(sampleOf(t, "pdf/testdata/report.pdf")), "| North | 1,204 |"},
		{"no-ending", "pdf", string(sampleOf(t, "pdf/testdata/report.pdf")), "[page 3] The end"},
		{"sales.csv", "csv", "region;units\nNorth;12\nSouth;7\n", "| North | 12 |"},
		{"notes.md", "markdown", "# Title\n\nSome text.\n", "Some text."},
		{"page.html", "html", "<!doctype html><title>T</title><p>A <b>bold</b> word.<script>x</script>", "A **bold** word."},
		{"data.json", "json", `{"users": [{"name": "Ada"}]}`, "Ada"},
		{"empty.txt", "text", "", ""},
		{"about.md", "markdown", "A PDF begins with %PDF-1.7.\n", "begins with %PDF"},
	} {
		file = []byte(test.data)
		res, err := documents.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: test.path})
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		if res.GetFormat() != test.format || !strings.Contains(res.GetText(), test.want) || res.GetNextOffset() != res.GetTotalSize() {
			t.Errorf("%s: %v", test.path, res)
		}
	}
}

// TestDocumentInPieces reads a long text reply by reply, and gets all of it.
func TestDocumentInPieces(t *testing.T) {
	text := strings.Repeat("a line with ünïcödé in it\n", 5_000)
	documents := documentsOf(t, func() []byte { return []byte(text) })
	whole, err := documents.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a.txt", MaxTokens: 100_000})
	if err != nil || whole.GetNextOffset() != whole.GetTotalSize() {
		t.Fatal(whole.GetNextOffset(), err)
	}
	var pieces strings.Builder
	for offset := int64(0); offset < whole.GetTotalSize(); {
		res, err := documents.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a.txt", MaxTokens: 5_001, Offset: offset})
		if err != nil || res.GetNextOffset() <= offset || len(res.GetText()) > 4*5_001 {
			t.Fatal(offset, res.GetNextOffset(), len(res.GetText()), err)
		}
		pieces.WriteString(res.GetText())
		offset = res.GetNextOffset()
	}
	if pieces.String() != whole.GetText() {
		t.Error("the pieces are not the whole")
	}
	found, err := documents.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a.txt", Search: "NOT THERE"})
	if err != nil || found.GetTotalSize() != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// TestUnreadableDocuments are errors that say what to do.
func TestUnreadableDocuments(t *testing.T) {
	var file []byte
	documents := documentsOf(t, func() []byte { return file })
	for _, test := range []struct {
		name, reason string
		code         connect.Code
		data         []byte
		change       func(*sandgatev1.ReadDocumentRequest)
	}{
		{"damaged", "DOCUMENT_DAMAGED", connect.CodeFailedPrecondition, []byte("%PDF-1.7\nnothing"), nil},
		{"encrypted", "DOCUMENT_ENCRYPTED", connect.CodeFailedPrecondition, sampleOf(t, "pdf/testdata/encrypted.pdf"), nil},
		{"too large", "DOCUMENT_TOO_LARGE", connect.CodeFailedPrecondition, bytes.Repeat([]byte("x"), 64<<20+1), nil},
		{"a text about PDFs.pdf", "DOCUMENT_DAMAGED", connect.CodeFailedPrecondition, []byte("It begins with %PDF-1.7."), nil},
		{"binary", "DOCUMENT_DAMAGED", connect.CodeFailedPrecondition, bytes.Repeat([]byte("\x00\x01\xfe"), 1000), nil},
		{"of no format", "DOCUMENT_FORMAT", connect.CodeFailedPrecondition, []byte("x"), func(r *sandgatev1.ReadDocumentRequest) { r.Format = "wordstar" }},
		{"of no parts", "INVALID_PARTS", connect.CodeInvalidArgument, []byte("x"), func(r *sandgatev1.ReadDocumentRequest) { r.Parts = "5-2" }},
	} {
		file = test.data
		req := &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: test.name}
		if test.change != nil {
			test.change(req)
		}
		_, err := documents.ReadDocument(t.Context(), req)
		sandboxtest.WantError(t, err, test.code, test.reason)
	}
}

// TestPageImages come with the text.
func TestPageImages(t *testing.T) {
	documents := documentsOf(t, func() []byte { return sampleOf(t, "pdf/testdata/report.pdf") })
	res, err := documents.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a.pdf", Parts: "2", PageImages: true})
	if err != nil || len(res.GetImages()) != 1 || res.GetImages()[0].GetLocation() != "page 2" {
		t.Fatalf("%v, %v", res, err)
	}
	if shown := render(res); !strings.Contains(shown, "[page 2] Two columns") || !strings.Contains(shown, "<image/png>") {
		t.Error(shown)
	}
}

// TestDamagedCache starts where what was compiled before is torn, or where its folder is a file.
func TestDamagedCache(t *testing.T) {
	torn := t.TempDir()
	if err := os.CopyFS(torn, os.DirFS(compiled)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(torn, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			err = os.Truncate(path, 1000)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cache := range []string{torn, file} {
		files, _ := filesOf(t, textGuest("hello"))
		documents := fileserver.NewDocuments(files, cache)
		res, err := documents.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a.txt"})
		if err != nil || !strings.Contains(res.GetText(), "hello") {
			t.Errorf("%v, %v", res, err)
		}
		if err := documents.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOldCachesGo: what another version compiled is removed, and what this one did is kept.
func TestOldCachesGo(t *testing.T) {
	cache := t.TempDir()
	if err := os.CopyFS(cache, os.DirFS(compiled)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(cache, "0123456789abcdef", "wazero"), 0o700); err != nil {
		t.Fatal(err)
	}
	files, _ := filesOf(t, textGuest("hello"))
	documents := fileserver.NewDocuments(files, cache)
	if _, err := documents.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a.txt"}); err != nil {
		t.Error(err)
	}
	if err := documents.Close(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) != 1 || entries[0].Name() != tools.Version() {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestClosedDocuments: nothing is read any more, whether something was before or not.
func TestClosedDocuments(t *testing.T) {
	files, _ := filesOf(t, textGuest("hello"))
	for _, reads := range []int{0, 1} {
		documents := fileserver.NewDocuments(files, compiled)
		req := &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a.txt"}
		for range reads {
			if _, err := documents.ReadDocument(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		if err := documents.Close(); err != nil {
			t.Error(err)
		}
		_, err := documents.ReadDocument(t.Context(), req)
		sandboxtest.WantError(t, err, connect.CodeUnavailable, "DRAINING")
	}
}

// TestSlowGuest hands a document over drop by drop, which is bounded in time.
func TestSlowGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, _ := filesOf(t, &guest{download: func(ctx context.Context, send func(*sandgatev1.DownloadResponse) error) error {
			err := send(&sandgatev1.DownloadResponse{TotalSize: 1 << 20})
			for err == nil {
				select {
				case <-time.After(time.Second):
					err = send(&sandgatev1.DownloadResponse{})
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return err
		}})
		documents := fileserver.NewDocuments(files, "")
		_, err := documents.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a.txt"})
		sandboxtest.WantError(t, err, connect.CodeDeadlineExceeded, "SANDBOX_SILENT")
		if err := documents.Close(); err != nil {
			t.Error(err)
		}
	})
}

// textGuest is a guest with one short file.
func textGuest(text string) *guest {
	return &guest{download: func(_ context.Context, send func(*sandgatev1.DownloadResponse) error) error {
		return send(&sandgatev1.DownloadResponse{Data: []byte(text), TotalSize: int64(len(text))})
	}}
}

// TestReadersLeave: a caller who leaves waits for nothing.
func TestReadersLeave(t *testing.T) {
	documents := documentsOf(t, func() []byte { return []byte("x") })
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := documents.ReadDocument(ctx, &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "x"}); connect.CodeOf(err) != connect.CodeCanceled {
		t.Error(err)
	}
}
