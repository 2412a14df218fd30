package fileserver_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// exporter is a guest that exports what a test says, and takes uploads.
func exporter(kind sandgatev1.FileType, write func(io.Writer) error) (g *guest, uploaded *bytes.Buffer) {
	uploaded = new(bytes.Buffer)
	asked := false
	return &guest{
		stat: func(context.Context) (*sandgatev1.StatResponse, error) {
			if !asked { // for the archive itself
				asked = true
				return nil, connect.NewError(connect.CodeNotFound, errors.New("none"))
			}
			return &sandgatev1.StatResponse{File: &sandgatev1.FileInfo{Type: kind, Mode: math.MaxUint32}}, nil
		},
		export: func(_ context.Context, send func(*sandgatev1.ExportResponse) error) error {
			to := bufio.NewWriterSize(sender(send), 64<<10)
			return errors.Join(write(to), to.Flush())
		},
		upload: func(_ context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
			for stream.Receive() {
				uploaded.Write(stream.Msg().GetData())
			}
			return &sandgatev1.UploadResponse{File: &sandgatev1.FileInfo{Size: int64(uploaded.Len())}}, stream.Err()
		},
	}, uploaded
}

type sender func(*sandgatev1.ExportResponse) error

func (s sender) Write(b []byte) (int, error) {
	return len(b), s(&sandgatev1.ExportResponse{Data: b})
}

// exported writes headers, each with as many zeros as it says.
func exported(headers ...*tar.Header) func(io.Writer) error {
	return func(to io.Writer) error {
		archive := tar.NewWriter(to)
		for _, head := range headers {
			if err := archive.WriteHeader(head); err != nil {
				return err
			}
			if _, err := io.CopyN(archive, zero{}, head.Size); err != nil {
				return err
			}
		}
		return archive.Close()
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestArchiveBelievesNoExport has guests export what they may not.
func TestArchiveBelievesNoExport(t *testing.T) {
	const directory, file = sandgatev1.FileType_FILE_TYPE_DIRECTORY, sandgatev1.FileType_FILE_TYPE_FILE
	endless := func(name func(int) string, head tar.Header) func(io.Writer) error {
		return func(to io.Writer) error {
			archive := tar.NewWriter(to)
			for i := 0; ; i++ {
				head.Name = name(i)
				if err := archive.WriteHeader(&head); err != nil {
					return err
				}
			}
		}
	}
	for name, test := range map[string]struct {
		kind   sandgatev1.FileType
		write  func(io.Writer) error
		code   connect.Code
		reason string
	}{
		"leaves":          {directory, exported(&tar.Header{Name: "../x"}), connect.CodeInternal, "SANDBOX_MISBEHAVED"},
		"absolute":        {directory, exported(&tar.Header{Name: "/x"}), connect.CodeInternal, "SANDBOX_MISBEHAVED"},
		"a device":        {directory, exported(&tar.Header{Name: "x", Typeflag: tar.TypeChar}), connect.CodeInternal, "SANDBOX_MISBEHAVED"},
		"a hard link":     {directory, exported(&tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "y"}), connect.CodeInternal, "SANDBOX_MISBEHAVED"},
		"a long link":     {directory, exported(&tar.Header{Name: "x", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("y", 5000)}), connect.CodeInternal, "SANDBOX_MISBEHAVED"},
		"a tree of files": {file, exported(&tar.Header{Name: "x", Typeflag: tar.TypeDir}), connect.CodeInternal, "SANDBOX_MISBEHAVED"},
		"two files":       {file, exported(&tar.Header{Name: "x"}, &tar.Header{Name: "y"}), connect.CodeInvalidArgument, "ARCHIVE_NAMES"},
		"no tar":          {directory, func(to io.Writer) error { _, err := to.Write(bytes.Repeat([]byte("no "), 1000)); return err }, connect.CodeInternal, "SANDBOX_MISBEHAVED"},
		"cut":             {directory, func(to io.Writer) error { return tar.NewWriter(to).WriteHeader(&tar.Header{Name: "x", Size: 9}) }, connect.CodeInternal, "SANDBOX_MISBEHAVED"},
		"too many":        {directory, endless(func(i int) string { return fmt.Sprint(i) }, tar.Header{}), connect.CodeFailedPrecondition, "DIRECTORY_TOO_LARGE"},
		"long names":      {directory, endless(func(i int) string { return fmt.Sprint(i) + strings.Repeat("/"+strings.Repeat("x", 200), 19) }, tar.Header{}), connect.CodeFailedPrecondition, "DIRECTORY_TOO_LARGE"},
		"too large":       {directory, func(to io.Writer) error { return tar.NewWriter(to).WriteHeader(&tar.Header{Name: "x", Size: 1 << 40}) }, connect.CodeResourceExhausted, "ARCHIVE_CONTENT_TOO_LARGE"},
		"a special file":  {sandgatev1.FileType_FILE_TYPE_OTHER, exported(), connect.CodeFailedPrecondition, "NOT_A_FILE"},
		"its own error": {directory, func(io.Writer) error {
			return connect.NewError(connect.CodePermissionDenied, errors.New("not readable"))
		}, connect.CodePermissionDenied, "SANDBOX_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := exporter(test.kind, test.write)
			files, _ := filesOf(t, g)
			documents := fileserver.NewDocuments(files, "")
			_, err := documents.Archive(t.Context(), &sandgatev1.ArchiveRequest{SessionId: "s", Paths: []string{"d"}, Destination: "a.zip"})
			sandboxtest.WantError(t, err, test.code, test.reason)
			if err := documents.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestArchiveOfLinks packs links as links, in both kinds of archive.
func TestArchiveOfLinks(t *testing.T) {
	for _, name := range []string{"a.zip", "a.tar"} {
		g, uploaded := exporter(sandgatev1.FileType_FILE_TYPE_DIRECTORY, exported(
			&tar.Header{Name: "./"}, &tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, &tar.Header{Name: ".sandgate-ABC", Size: 5}, &tar.Header{Name: "f", Size: 5, Mode: 0o4755},
		))
		files, _ := filesOf(t, g)
		documents := fileserver.NewDocuments(files, "")
		res, err := documents.Archive(t.Context(), &sandgatev1.ArchiveRequest{SessionId: "s", Paths: []string{"d"}, Destination: name})
		if err != nil || res.GetEntries() != 3 || res.GetContentBytes() != 5 || !bytes.Contains(uploaded.Bytes(), []byte("/etc/passwd")) || bytes.Contains(uploaded.Bytes(), []byte(".sandgate-")) {
			t.Errorf("%s: %v, %v", name, res, err)
		}
		if err := documents.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestExtractIntoBadGuests: they refuse, lie, or leave.
func TestExtractIntoBadGuests(t *testing.T) {
	full := connect.NewError(connect.CodeResourceExhausted, errors.New("no room; 3 files with 9 bytes were unpacked before"))
	for name, test := range map[string]struct {
		bring func(context.Context, *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error)
		code  connect.Code
		says  string
	}{
		"full at once": {func(context.Context, *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error) {
			return nil, full
		}, connect.CodeResourceExhausted, "3 files with 9 bytes"},
		"full in the middle": {func(_ context.Context, stream *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error) {
			for range 4 {
				stream.Receive()
			}
			return nil, full
		}, connect.CodeResourceExhausted, "3 files with 9 bytes"},
		"done too early": {func(_ context.Context, stream *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error) {
			stream.Receive()
			return &sandgatev1.ImportResponse{Files: 7}, nil
		}, connect.CodeInternal, ""},
		"negative": {func(_ context.Context, stream *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error) {
			for stream.Receive() {
			}
			return &sandgatev1.ImportResponse{Files: -7, Directories: -1, Bytes: -1}, stream.Err()
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var packed bytes.Buffer
			if err := exported(&tar.Header{Name: "x", Size: 10 << 20})(&packed); err != nil {
				t.Fatal(err)
			}
			g := textGuest("")
			g.bring = test.bring
			g.download = func(_ context.Context, send func(*sandgatev1.DownloadResponse) error) error {
				return send(&sandgatev1.DownloadResponse{Data: packed.Bytes(), TotalSize: int64(packed.Len())})
			}
			files, _ := filesOf(t, g)
			documents := fileserver.NewDocuments(files, compiled)
			res, err := documents.Extract(t.Context(), &sandgatev1.ExtractRequest{SessionId: "s", Path: "a.tar"})
			if test.code == 0 {
				if err != nil || res.GetFiles() != 0 || res.GetBytes() != 0 {
					t.Errorf("%v, %v", res, err)
				}
			} else if connect.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if err := documents.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestArchivesEndWithTheirCaller: who leaves waits for nothing, and leaves nothing behind.
func TestArchivesEndWithTheirCaller(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	g, _ := exporter(sandgatev1.FileType_FILE_TYPE_DIRECTORY, func(to io.Writer) error {
		leave()
		_, err := io.Copy(to, zero{})
		return err
	})
	files, _ := filesOf(t, g)
	documents := fileserver.NewDocuments(files, "")
	_, err := documents.Archive(ctx, &sandgatev1.ArchiveRequest{SessionId: "s", Paths: []string{"d"}, Destination: "a.zip"})
	if code := connect.CodeOf(err); code != connect.CodeCanceled && code != connect.CodeInternal {
		t.Error(err)
	}
	if err := documents.Close(); err != nil {
		t.Error(err)
	}
}
