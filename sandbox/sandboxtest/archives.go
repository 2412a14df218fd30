package sandboxtest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Whole directories as tar archives: Export and Import.

func (s *subject) exported(path string) []byte {
	s.Helper()
	stream, err := s.file.Export(s.Context(), &sandgatev1.ExportRequest{Path: path})
	s.must(err)
	var archive []byte
	for stream.Receive() {
		archive = append(archive, stream.Msg().GetData()...)
	}
	s.must(stream.Err())
	_ = stream.Close()
	return archive
}

func (s *subject) imported(path string, archive []byte) (*sandgatev1.ImportResponse, error) {
	s.Helper()
	stream, err := s.file.Import(s.Context())
	s.must(err)
	_ = stream.Send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Header{Header: &sandgatev1.ImportHeader{Path: path}}})
	for rest := archive; len(rest) > 0; {
		piece := rest[:min(len(rest), 100_000)]
		if stream.Send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Data{Data: piece}}) != nil {
			break // it says why when it is closed
		}
		rest = rest[len(piece):]
	}
	return stream.CloseAndReceive()
}

// archiveOf writes an archive.
func (s *subject) archiveOf(entries ...tar.Header) []byte {
	s.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		content := e.Uname // which stands for what is in it
		e.Uname, e.Size = "", int64(len(content))
		s.must(w.WriteHeader(&e))
		_, err := io.WriteString(w, content)
		s.must(err)
	}
	s.must(w.Close())
	return out.Bytes()
}

// shown tells what an archive holds, a line each.
func (s *subject) shown(archive []byte) string {
	s.Helper()
	var lines strings.Builder
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines.String()
		}
		s.must(err)
		if h.Uid != 0 || h.Uname != "" || h.ModTime.Unix() <= 0 {
			s.Errorf("%+v", h)
		}
		content, err := io.ReadAll(r)
		s.must(err)
		lines.WriteString(strings.TrimSpace(strings.Join([]string{string(h.Typeflag), h.FileInfo().Mode().Perm().String(), h.Name, h.Linkname, string(content[:min(len(content), 20)])}, " ")) + "\n")
	}
}

func (s *subject) filesExport() {
	s.sh("mkdir -p x/d/e x/none; echo one > x/d/one; chmod 600 x/d/one; echo two > x/d/e/two; chmod 755 x/d/e/two; ln -s /etc/passwd x/link; mkfifo x/pipe; printf 'caf\\351' > \"x/$(printf 'caf\\351')\"; chmod 500 x/d/e; head -c 300000 /dev/zero > x/zeros")
	archive := s.exported("x")
	got := s.shown(archive)
	for line := range strings.SplitSeq("0 -rw-r--r-- caf\xe9  caf\xe9\n5 -rwxr-xr-x d/\n5 -r-x------ d/e/\n0 -rwxr-xr-x d/e/two  two\n0 -rw------- d/one  one\n2 -rwxrwxrwx link /etc/passwd\n5 -rwxr-xr-x none/", "\n") {
		if !strings.Contains(got, line+"\n") {
			s.Errorf("no %q in\n%s", line, got)
		}
	}
	if strings.Contains(got, "pipe") || len(archive) < 300_000 {
		s.Errorf("%d bytes:\n%s", len(archive), got)
	}
	res, err := s.imported("y/new", archive)
	s.must(err)
	if res.GetFiles() != 5 || res.GetDirectories() != 3 || res.GetBytes() != 300_012 {
		s.Errorf("%v", res)
	}
	if again := s.shown(s.exported("y/new")); again != got {
		s.Errorf("it came back as\n%s\nand was\n%s", again, got)
	}
	if one := s.shown(s.exported("x/d/one")); one != "0 -rw------- one  one\n" {
		s.Errorf("%q", one)
	}
	none, err := s.file.Export(s.Context(), &sandgatev1.ExportRequest{Path: "x/nothing"})
	s.must(err)
	if none.Receive() {
		s.Error("there is nothing")
	}
	s.wantCode(none.Err(), connect.CodeNotFound)
	_ = none.Close()
	s.sh("chmod 700 x/d/e y/new/d/e; rm -r x y")
	// What its owner has closed is not lost, and is closed as before.
	s.sh("mkdir -p c/shut/in c/wo; echo secret > c/shut/in/key; chmod 000 c/shut/in/key; chmod 300 c/wo; chmod 000 c/shut/in c/shut")
	for range 2 {
		got := s.shown(s.exported("c"))
		if want := "5 ---------- shut/\n5 ---------- shut/in/\n0 ---------- shut/in/key  secret\n5 --wx------ wo/\n"; got != want {
			s.Errorf("%s", got)
		}
	}
	s.sh("test $(stat -c %a c/shut) = 0; chmod 700 c/shut c/shut/in c/wo; rm -rf c")
}

func (s *subject) filesImport() {
	file := func(name string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Uname: "in it", Mode: 0o644}
	}
	s.sh("mkdir -p in; echo old > in/a; echo stays > in/b; ln -s /tmp in/out")
	res, err := s.imported("in", append(s.archiveOf(
		tar.Header{Typeflag: tar.TypeDir, Name: "./"}, file("./a"), file("deep/er/c"),
		tar.Header{Typeflag: tar.TypeLink, Name: "again", Linkname: "deep/er/c"},
		tar.Header{Typeflag: tar.TypeDir, Name: "closed", Mode: 0o500}, file("closed/x"),
	), make([]byte, 10<<10)...))
	s.must(err)
	if res.GetFiles() != 4 || res.GetDirectories() != 1 || res.GetBytes() != 15 {
		s.Errorf("%v", res)
	}
	if got := s.sh("cat in/a in/b in/again in/closed/x; stat -c %a in/closed; ls -A in | wc -l").stdout; got != "in itstays\nin itin it500\n6\n" {
		s.Errorf("%q", got)
	}
	for name, entry := range map[string]tar.Header{
		"up":            file("../up"),
		"up and down":   file("a/../../up"),
		"absolute":      file("/tmp/absolute"),
		"by a link":     file("out/file"),
		"onto a folder": file("closed"),
		"a device":      {Typeflag: tar.TypeChar, Name: "device", Devmajor: 1, Devminor: 3},
		"a pipe":        {Typeflag: tar.TypeFifo, Name: "pipe"},
		"a link out":    {Typeflag: tar.TypeLink, Name: "passwd", Linkname: "../../../etc/passwd"},
	} {
		_, err := s.imported("in", s.archiveOf(file("fine"), entry))
		if err == nil || !strings.Contains(err.Error(), "1 files ") || !strings.Contains(err.Error(), " 5 bytes") {
			s.Errorf("%s: %v", name, err)
		}
	}
	for name, archive := range map[string][]byte{
		"no archive": []byte(strings.Repeat("this is no archive. ", 100)),
		"cut off":    s.archiveOf(file("a"))[:514],
	} {
		_, err := s.imported("in", archive)
		s.wantCode(err, connect.CodeInvalidArgument)
		if err == nil || !strings.Contains(err.Error(), "tar") {
			s.Errorf("%s: %v", name, err)
		}
	}
	if got := s.sh("find in -name '.sandgate*'; ls -d up ../up /tmp/absolute /tmp/file 2>/dev/null; cat in/fine").stdout; got != "in it" {
		s.Errorf("left: %q", got)
	}
	s.sh("chmod 700 in/closed; rm -r in")
}
