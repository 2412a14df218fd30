package fileserver_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// only is the sandbox of the session "s".
type only struct{ box sandbox.Sandbox }

func (o only) Sandbox(context.Context, string) (sandbox.Sandbox, error) { return o.box, nil }

// workbench is a sandbox with the real guest, and what the gateway has for it.
type workbench struct {
	testing.TB

	files     *fileserver.Files
	documents *fileserver.Documents
}

func newWorkbench(tb testing.TB) *workbench {
	tb.Helper()
	box, err := (&sandboxtest.Fake{}).Create(tb.Context(), sandbox.Spec{Template: "python", Runtime: "runc"})
	if err != nil {
		tb.Fatal(err)
	}
	files := fileserver.New(only{box})
	w := &workbench{TB: tb, files: files, documents: fileserver.NewDocuments(files, compiled)}
	tb.Cleanup(func() {
		if err := errors.Join(w.documents.Close(), box.Close(context.WithoutCancel(tb.Context()))); err != nil {
			tb.Error(err)
		}
	})
	return w
}

func (w *workbench) write(name string, data []byte) {
	w.Helper()
	header := &sandgatev1.UploadHeader{SessionId: "s", Path: name}
	sent := false
	_, err := w.files.Upload(w.Context(), func() (*sandgatev1.UploadRequest, error) {
		if !sent {
			sent = true
			return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: header}}, nil
		}
		if len(data) == 0 {
			return nil, io.EOF
		}
		piece := data[:min(len(data), 64<<10)]
		data = data[len(piece):]
		return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: piece}}, nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *workbench) read(name string) []byte {
	w.Helper()
	var data []byte
	err := w.files.Download(w.Context(), &sandgatev1.DownloadRequest{SessionId: "s", Path: name}, func(piece *sandgatev1.DownloadResponse) error {
		data = append(data, piece.GetData()...)
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return data
}

// listed are the paths below a directory, each with its mode and size.
func (w *workbench) listed(directory string) string {
	w.Helper()
	res, err := w.files.ListFiles(w.Context(), &sandgatev1.ListFilesRequest{SessionId: "s", Path: directory, Depth: 64, PageSize: 10_000})
	if err != nil {
		w.Fatal(err)
	}
	var out strings.Builder
	for _, file := range res.GetFiles() {
		name := file.GetPath()[strings.Index(file.GetPath(), directory)+len(directory):]
		size := file.GetSize()
		if file.GetType() != sandgatev1.FileType_FILE_TYPE_FILE {
			size = 0
		}
		fmt.Fprintf(&out, "%04o %d %s%s\n", file.GetMode(), size, strings.TrimPrefix(name, "/"), map[bool]string{true: " -> " + file.GetSymlinkTarget()}[file.GetSymlinkTarget() != ""])
	}
	return out.String()
}

func (w *workbench) extract(req *sandgatev1.ExtractRequest) (*sandgatev1.ExtractResponse, error) {
	req.SessionId = "s"
	return w.documents.Extract(w.Context(), req)
}

const (
	treeFiles = "0755 0 tree\n0644 16 tree/hello.txt\n0755 0 tree/sub\n0755 0 tree/sub/empty\n0755 24010 tree/sub/run.sh\n"
	fixtures  = "tools/archive/testdata/"
)

// TestExtract unpacks archives of several kinds through the embedded program and the real guest.
func TestExtract(t *testing.T) {
	w := newWorkbench(t)
	for _, name := range []string{"infozip.zip", "tool.tar.zst", "python.tar.gz", "x86.7z", "tool.tar.xz", "bzip2.zip", "tool.tgz", "v7.tar"} {
		w.write("in/"+name, sampleOf(t, fixtures+name))
		res, err := w.extract(&sandgatev1.ExtractRequest{Path: "in/" + name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		directory := "in/" + strings.TrimSuffix(strings.TrimSuffix(name, path.Ext(name)), ".tar")
		if res.GetDestination() != "/home/user/"+directory || res.GetFiles() != 2 || res.GetDirectories() != 3 || res.GetBytes() != 24026 || res.GetSkippedTotal() != 0 {
			t.Errorf("%s: %v", name, res)
		}
		if diff := cmp.Diff(treeFiles, w.listed(directory)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if _, err := w.files.Remove(t.Context(), &sandgatev1.RemoveRequest{SessionId: "s", Path: directory, Recursive: true}); err != nil {
			t.Error(err)
		}
	}
	w.write("run.sh.gz", sampleOf(t, fixtures+"run.sh.gz"))
	res, err := w.extract(&sandgatev1.ExtractRequest{Path: "run.sh.gz", Destination: "/tmp/there"})
	if err != nil || res.GetFiles() != 1 || !strings.Contains(w.listed("/tmp/there"), "24010 run.sh\n") {
		t.Errorf("%v, %v", res, err)
	}
}

// TestExtractSome unpacks what is asked for over what is there.
func TestExtractSome(t *testing.T) {
	w := newWorkbench(t)
	w.write("a.zip", sampleOf(t, fixtures+"infozip.zip"))
	w.write("out/tree/hello.txt", []byte("old"))
	w.write("out/kept", []byte("old"))
	res, err := w.extract(&sandgatev1.ExtractRequest{Path: "./a.zip", Destination: "out", Include: []string{"tree/*.txt"}})
	if err != nil || res.GetFiles() != 1 || res.GetBytes() != 16 {
		t.Errorf("%v, %v", res, err)
	}
	if got := string(w.read("out/tree/hello.txt")) + string(w.read("out/kept")); got != "Hello, archive.\nold" {
		t.Error(got)
	}
	_, err = w.extract(&sandgatev1.ExtractRequest{Path: "a.zip", Include: []string{"["}})
	sandboxtest.WantError(t, err, connect.CodeInvalidArgument, "BAD_PATTERN")
}

// TestExtractRefuses are errors that say what to do, and how much was unpacked.
func TestExtractRefuses(t *testing.T) {
	w := newWorkbench(t)
	flipped := sampleOf(t, fixtures+"stored.zip")
	flipped[bytes.Index(flipped, []byte("#!/bin/sh"))] ^= 1
	cut := sampleOf(t, fixtures+"gnu.tar")
	for name, test := range map[string]struct {
		data   []byte
		code   connect.Code
		reason string
		says   string
	}{
		"text.txt":      {[]byte("no archive"), connect.CodeFailedPrecondition, "ARCHIVE_FORMAT", "; 0 files with 0 bytes were unpacked before"},
		"encrypted.7z":  {sampleOf(t, fixtures+"names.7z"), connect.CodeFailedPrecondition, "ARCHIVE_ENCRYPTED", "names"},
		"flipped.zip":   {flipped, connect.CodeFailedPrecondition, "ARCHIVE_DAMAGED", "run.sh\": zip: checksum error; 1 files with 16 bytes were unpacked before"},
		"cut.tar":       {cut[:len(cut)/2], connect.CodeFailedPrecondition, "ARCHIVE_DAMAGED", "it ends too early; "},
		"bomb.tar.gz":   {bomb(t, 2<<30), connect.CodeResourceExhausted, "ARCHIVE_CONTENT_TOO_LARGE", "; 1 files with 3 bytes"},
		"large.tar":     {make([]byte, 64<<20+1), connect.CodeFailedPrecondition, "ARCHIVE_TOO_LARGE", ""},
		"file-there.gz": {sampleOf(t, fixtures+"run.sh.gz"), connect.CodeFailedPrecondition, "NOT_A_DIRECTORY", ""},
	} {
		w.write("file-there", nil)
		w.write(name, test.data)
		_, err := w.extract(&sandgatev1.ExtractRequest{Path: name})
		sandboxtest.WantError(t, err, test.code, test.reason)
		if err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := w.listed("flipped"); strings.Contains(got, "run.sh") || !strings.Contains(got, "hello.txt") {
		t.Errorf("of a damaged archive there is\n%s", got)
	}
	_, err := w.extract(&sandgatev1.ExtractRequest{Path: "none.zip"})
	sandboxtest.WantError(t, err, connect.CodeNotFound, "FILE_NOT_FOUND")
}

// bomb is a compressed tar archive with a small file, and one that says that it has a size.
func bomb(t *testing.T, size int64) []byte {
	t.Helper()
	var head bytes.Buffer
	to := tar.NewWriter(&head)
	if err := errors.Join(to.WriteHeader(&tar.Header{Name: "a", Size: 3}), onlyErr(to.Write([]byte("abc"))), to.WriteHeader(&tar.Header{Name: "b", Size: size})); err != nil {
		t.Fatal(err)
	}
	pack := exec.Command("gzip", "-c")
	pack.Stdin = io.MultiReader(&head, bytes.NewReader(make([]byte, 1<<20)))
	packed, err := pack.Output()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func onlyErr(_ int, err error) error { return err }

// TestExtractNamesWhatItLeavesOut tells it to who asks.
func TestExtractNamesWhatItLeavesOut(t *testing.T) {
	w := newWorkbench(t)
	var b bytes.Buffer
	to := zip.NewWriter(&b)
	for _, name := range []string{"../x", "/etc/passwd", "good", "a\nb/../../c"} {
		if _, err := to.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	w.write("a.zip", b.Bytes())
	res, err := w.extract(&sandgatev1.ExtractRequest{Path: "a.zip"})
	want := []string{"../x: leaves the directory", "/etc/passwd: its name is absolute", "a?b/../../c: leaves the directory"}
	if diff := cmp.Diff(want, res.GetSkipped()); diff != "" || err != nil || res.GetFiles() != 1 || res.GetSkippedTotal() != 3 {
		t.Errorf("%v, %v, %s", res, err, diff)
	}
}

// tree makes files of several kinds.
func (w *workbench) tree() {
	w.Helper()
	w.write("src/main.go", []byte("package main\n"))
	w.write("src/deep/er/data.bin", bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
	w.write("/tmp/elsewhere/x", []byte("x"))
	w.write("single.txt", []byte("single"))
	if _, err := w.files.MakeDir(w.Context(), &sandgatev1.MakeDirRequest{SessionId: "s", Path: "src/empty"}); err != nil {
		w.Fatal(err)
	}
}

// TestArchive makes archives of every kind, and has other programs read them.
func TestArchive(t *testing.T) {
	w := newWorkbench(t)
	w.tree()
	want := "elsewhere/\nelsewhere/x 1\nsingle.txt 6\nsrc/\nsrc/deep/\nsrc/deep/er/\nsrc/deep/er/data.bin 1048576\nsrc/empty/\nsrc/main.go 13\n"
	for _, name := range []string{"out/a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "A.TAR.ZST"} {
		req := &sandgatev1.ArchiveRequest{SessionId: "s", Paths: []string{"src", "/tmp/elsewhere", "./single.txt", "src/main.go", "src"}, Destination: name}
		res, err := w.documents.Archive(t.Context(), req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		data := w.read(name)
		if res.GetEntries() != 9 || res.GetContentBytes() != 1048576+13+6+1 || res.GetFile().GetSize() != int64(len(data)) || !strings.HasSuffix(res.GetFile().GetPath(), "/"+name) {
			t.Errorf("%s: %v", name, res)
		}
		if diff := cmp.Diff(want, readWithPython(t, name, data)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		_, err = w.documents.Archive(t.Context(), req)
		sandboxtest.WantError(t, err, connect.CodeAlreadyExists, "FILE_EXISTS")
		req.Overwrite = true
		if again, err := w.documents.Archive(t.Context(), req); err != nil || again.GetEntries() != 9 {
			t.Errorf("%s: %v, %v", name, again, err)
		}
		back, err := w.extract(&sandgatev1.ExtractRequest{Path: name, Destination: "back/" + name})
		if err != nil || back.GetFiles() != 4 || back.GetBytes() != res.GetContentBytes() {
			t.Errorf("%s: %v, %v", name, back, err)
		}
	}
}

// readWithPython lists an archive with Python's own modules, which check the sums.
func readWithPython(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), strings.ToLower(path.Base(name)))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".zst") {
		if out, err := exec.Command("zstd", "-q", "-d", "--rm", file).CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
		file = strings.TrimSuffix(file, ".zst")
	}
	const script = `
import sys, json, tarfile, zipfile
f = sys.argv[1]
if f.endswith(".zip"):
    z = zipfile.ZipFile(f)
    assert z.testzip() is None
    e = [dict(name=i.filename, size=i.file_size) for i in z.infolist()]
else:
    t = tarfile.open(f)
    e = [dict(name=i.name + ("/" if i.isdir() else ""), size=i.size) for i in t if i.isdir() or len(t.extractfile(i).read()) == i.size]
print(json.dumps(e))`
	out, err := exec.Command("python3", "-c", script, file).Output()
	if err != nil {
		t.Fatal(err)
	}
	type entry struct {
		Name string
		Size int64
	}
	var entries []entry
	if err := json.Unmarshal(out, &entries); err != nil {
		t.Fatal(err)
	}
	lines := make([]string, 0, len(entries))
	for _, e := range entries {
		if strings.HasSuffix(e.Name, "/") {
			lines = append(lines, e.Name+"\n")
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %d\n", e.Name, e.Size))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestArchiveLeavesItselfOut, while it is made and where it was before.
func TestArchiveLeavesItselfOut(t *testing.T) {
	w := newWorkbench(t)
	w.tree()
	noise := make([]byte, 4<<20)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	w.write("noise", noise)
	for range 2 {
		res, err := w.documents.Archive(t.Context(), &sandgatev1.ArchiveRequest{SessionId: "s", Paths: []string{"."}, Destination: "all.tar", Overwrite: true})
		if err != nil || res.GetContentBytes() != 4<<20+1048576+13+6 {
			t.Fatalf("%v, %v", res, err)
		}
	}
	if got := readWithPython(t, "all.tar", w.read("all.tar")); strings.Contains(got, "all.tar") || strings.Contains(got, ".sandgate-") || !strings.Contains(got, "noise 4194304\n") {
		t.Error(got)
	}
}

// TestArchiveRefuses are errors, after which there is no archive.
func TestArchiveRefuses(t *testing.T) {
	w := newWorkbench(t)
	w.tree()
	w.write("/tmp/single.txt", []byte("other"))
	for name, test := range map[string]struct {
		paths  []string
		code   connect.Code
		reason string
	}{
		"a.rar":     {[]string{"src"}, connect.CodeInvalidArgument, "ARCHIVE_FORMAT"},
		"b.zip":     {[]string{"none"}, connect.CodeNotFound, "FILE_NOT_FOUND"},
		"src/x.zip": {[]string{"single.txt", "/tmp/single.txt"}, connect.CodeInvalidArgument, "ARCHIVE_NAMES"},
		"/etc/x.7z": {[]string{"src"}, connect.CodeInvalidArgument, "ARCHIVE_FORMAT"},
	} {
		_, err := w.documents.Archive(t.Context(), &sandgatev1.ArchiveRequest{SessionId: "s", Paths: test.paths, Destination: name})
		sandboxtest.WantError(t, err, test.code, test.reason)
		if _, err := w.files.Stat(t.Context(), &sandgatev1.StatRequest{SessionId: "s", Path: name}); connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}
