package sandboxtest

import (
	"bytes"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func (s *subject) write(path, text string) {
	s.Helper()
	_, err := s.file.Write(s.Context(), &sandgatev1.WriteRequest{Path: path, Content: &sandgatev1.WriteRequest_Text{Text: text}})
	s.must(err)
}

func (s *subject) read(path string) *sandgatev1.ReadResponse {
	s.Helper()
	res, err := s.file.Read(s.Context(), &sandgatev1.ReadRequest{Path: path})
	s.must(err)
	return res
}

func (s *subject) filesRoundTrip() {
	ctx := s.Context()
	s.write("a/b/c.txt", "héllo\n")
	if got := s.read("a/b/c.txt"); got.GetText() != "héllo\n" || got.GetTotalSize() != 7 || got.GetNextOffset() != 7 {
		s.Errorf("%v", got)
	}
	res, err := s.file.Read(ctx, &sandgatev1.ReadRequest{Path: "a/b/c.txt", Length: 2})
	s.must(err)
	if res.GetText() != "h" || res.GetNextOffset() != 1 {
		s.Errorf("a cut character: %v", res)
	}
	_, err = s.file.Write(ctx, &sandgatev1.WriteRequest{Path: "a/b/c.txt", Append: true, Content: &sandgatev1.WriteRequest_Data{Data: []byte{0xff}}})
	s.must(err)
	if got := s.read("a/b/c.txt"); !bytes.Equal(got.GetData(), []byte("h\xc3\xa9llo\n\xff")) {
		s.Errorf("%v", got)
	}
	if s.suite.Isolated {
		if got := s.sh("stat -c %U:%a a/b/c.txt").stdout; got != "user:644\n" {
			s.Errorf("owner %q", got)
		}
	}
	s.sh("ln -s a/b/c.txt link; chmod 600 a/b/c.txt")
	s.write("link", "through")
	if got := s.sh("cat a/b/c.txt; stat -c %a a/b/c.txt; readlink link").stdout; got != "through600\na/b/c.txt\n" {
		s.Errorf("writing through a link: %q", got)
	}
	moved, err := s.file.Move(ctx, &sandgatev1.MoveRequest{Source: "a/b/c.txt", Destination: "d/e.txt"})
	s.must(err)
	if !strings.HasSuffix(moved.GetFile().GetPath(), "/d/e.txt") {
		s.Errorf("%v", moved)
	}
	s.write("f", "")
	_, err = s.file.Move(ctx, &sandgatev1.MoveRequest{Source: "f", Destination: "d/e.txt"})
	s.wantCode(err, connect.CodeAlreadyExists)
	_, err = s.file.Remove(ctx, &sandgatev1.RemoveRequest{Path: "d"})
	s.wantCode(err, connect.CodeFailedPrecondition)
	for _, path := range []string{"a", "d", "f", "link"} {
		_, err = s.file.Remove(ctx, &sandgatev1.RemoveRequest{Path: path, Recursive: true})
		s.must(err)
	}
	_, err = s.file.Stat(ctx, &sandgatev1.StatRequest{Path: "d"})
	s.wantCode(err, connect.CodeNotFound)
	made, err := s.file.MakeDir(ctx, &sandgatev1.MakeDirRequest{Path: "x/y"})
	s.must(err)
	if made.GetFile().GetType() != sandgatev1.FileType_FILE_TYPE_DIRECTORY {
		s.Errorf("%v", made)
	}
	s.sh("rmdir x/y x")
}

func (s *subject) filesEdit() {
	ctx := s.Context()
	s.write("e.txt", "one\ntwo\ntwo\nthree\n")
	_, err := s.file.Edit(ctx, &sandgatev1.EditRequest{Path: "e.txt", OldText: "two", NewText: "2"})
	s.wantCode(err, connect.CodeFailedPrecondition)
	_, err = s.file.Edit(ctx, &sandgatev1.EditRequest{Path: "e.txt", OldText: "four", NewText: "2"})
	s.wantCode(err, connect.CodeFailedPrecondition)
	res, err := s.file.Edit(ctx, &sandgatev1.EditRequest{Path: "e.txt", OldText: "two", NewText: "2", ExpectedCount: 2})
	s.must(err)
	if got := s.read("e.txt").GetText(); got != "one\n2\n2\nthree\n" || res.GetReplaced() != 2 || !strings.Contains(res.GetPreview(), "2\t2") {
		s.Errorf("%q, %v", got, res)
	}
	s.sh("rm e.txt")
}

// filesOdd tries what is no file of the user's: none of it may hang, harm the guest, or succeed.
func (s *subject) filesOdd() {
	ctx := s.Context()
	s.sh("mkfifo fifo; ln -s /proc/self/mem mem; ln -s loop loop; ln -s /proc/self/environ env; mkdir dir; ln -s /proc/self p; ln -s /dev/zero zero")
	for path, want := range map[string]connect.Code{
		"fifo":                connect.CodeFailedPrecondition,
		"mem":                 connect.CodePermissionDenied,
		"env":                 connect.CodePermissionDenied,
		"p/environ":           connect.CodePermissionDenied,
		"loop":                connect.CodeInvalidArgument,
		"dir":                 connect.CodeFailedPrecondition,
		"nothing":             connect.CodeNotFound,
		"/proc/1/environ":     connect.CodePermissionDenied,
		"/home/../proc/1/mem": connect.CodePermissionDenied,
		"/dev/zero":           connect.CodePermissionDenied,
		"zero":                connect.CodeFailedPrecondition,
		"a\x00b":              connect.CodeInvalidArgument,
	} {
		_, err := s.file.Read(ctx, &sandgatev1.ReadRequest{Path: path})
		s.wantCode(err, want)
	}
	for _, path := range []string{"fifo", "mem", "p/mem", "dir", "/usr/x", "/proc/self/mem", "a\x00b", strings.Repeat("n", 300)} {
		_, err := s.file.Write(ctx, &sandgatev1.WriteRequest{Path: path, Content: &sandgatev1.WriteRequest_Text{Text: "x"}})
		if err == nil && s.suite.Isolated {
			s.Errorf("%q was written", path)
		}
	}
	_, err := s.file.Remove(ctx, &sandgatev1.RemoveRequest{Path: ".", Recursive: true})
	s.wantCode(err, connect.CodePermissionDenied)
	if s.suite.Isolated {
		_, err = s.file.Read(ctx, &sandgatev1.ReadRequest{Path: "/etc/shadow"})
		s.wantCode(err, connect.CodePermissionDenied)
	}
	s.sh("rm -rf fifo mem loop env dir p zero")
}

func (s *subject) filesList() {
	ctx := s.Context()
	s.sh("mkdir -p l/b/c l/b-x; cd l; touch a b/1 b/c/2 b-x/3 z")
	var paths []string
	token := ""
	for range 20 {
		res, err := s.file.ListFiles(ctx, &sandgatev1.ListFilesRequest{Path: "l", Depth: 9, PageSize: 2, PageToken: token})
		s.must(err)
		for _, f := range res.GetFiles() {
			_, rest, _ := strings.Cut(f.GetPath(), "/l/")
			paths = append(paths, rest)
		}
		if token = res.GetNextPageToken(); token == "" {
			break
		}
	}
	if got := strings.Join(paths, " "); got != "a b b/1 b/c b/c/2 b-x b-x/3 z" {
		s.Errorf("%q", got)
	}
	_, err := s.file.ListFiles(ctx, &sandgatev1.ListFilesRequest{Path: "l/a"})
	s.wantCode(err, connect.CodeFailedPrecondition)
	s.sh("rm -r l")
}

func (s *subject) filesWatch() {
	s.sh("mkdir w")
	stream, err := s.file.Watch(s.Context(), &sandgatev1.WatchRequest{Path: "w", Recursive: true})
	s.must(err)
	defer func() { _ = stream.Close() }()
	if !stream.Receive() || stream.Msg().GetReady() == nil {
		s.Fatalf("not ready: %v, %v", stream.Msg(), stream.Err())
	}
	s.sh("cd w; echo 1 > f; mkdir sub; sleep 0.2; echo 2 > sub/g; mv f h; rm h")
	seen := map[string]bool{}
	for !seen["CHANGE_TYPE_REMOVE h"] && stream.Receive() {
		change := stream.Msg().GetChange()
		_, path, _ := strings.Cut(change.GetPath(), "/w/")
		seen[change.GetType().String()+" "+path] = true
	}
	for _, want := range []string{"CHANGE_TYPE_CREATE f", "CHANGE_TYPE_WRITE f", "CHANGE_TYPE_CREATE sub", "CHANGE_TYPE_WRITE sub/g", "CHANGE_TYPE_RENAME f", "CHANGE_TYPE_CREATE h"} {
		if !seen[want] {
			s.Errorf("%q was not told; told: %v", want, seen)
		}
	}
	s.sh("rm -r w")
}

func (s *subject) filesTransfer() {
	data := bytes.Repeat([]byte("sixteen bytes..."), 500_000)
	upload, err := s.file.Upload(s.Context())
	s.must(err)
	s.must(upload.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: "up/big", Mode: 0o640}}}))
	for rest := data; len(rest) > 0; {
		piece := rest[:min(len(rest), 1<<18)]
		s.must(upload.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: piece}}))
		rest = rest[len(piece):]
	}
	done, err := upload.CloseAndReceive()
	s.must(err)
	if done.GetFile().GetSize() != int64(len(data)) || done.GetFile().GetMode() != 0o640 {
		s.Errorf("%v", done)
	}
	for _, c := range []struct{ offset, length int64 }{{0, 0}, {5, 100}, {int64(len(data)) - 3, 0}, {int64(len(data)) + 9, 0}} {
		stream, err := s.file.Download(s.Context(), &sandgatev1.DownloadRequest{Path: "up/big", Offset: c.offset, Length: c.length})
		s.must(err)
		var got []byte
		var size int64
		for stream.Receive() {
			got = append(got, stream.Msg().GetData()...)
			size = max(size, stream.Msg().GetTotalSize())
		}
		s.must(stream.Err())
		_ = stream.Close()
		want := data[min(c.offset, int64(len(data))):]
		if c.length > 0 {
			want = want[:c.length]
		}
		if !bytes.Equal(got, want) || size != int64(len(data)) {
			s.Errorf("%+v: %d bytes of %d", c, len(got), size)
		}
	}
	left, err := s.file.Upload(s.Context())
	s.must(err)
	s.must(left.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: []byte("no header")}}))
	_, err = left.CloseAndReceive()
	s.wantCode(err, connect.CodeInvalidArgument)
	s.sh("rm -r up")
}
