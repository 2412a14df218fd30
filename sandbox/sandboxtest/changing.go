package sandboxtest

import (
	"fmt"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func (s *subject) filesLines() {
	ctx := s.soon()
	s.write("lines", "one\ntwo\nthree\nfour")
	for _, c := range []struct {
		start, lines, length int64
		text                 string
		next, total, offset  int64
	}{
		{start: 1, text: "one\ntwo\nthree\nfour", total: 4, offset: 18},
		{lines: 2, text: "one\ntwo\n", next: 3, total: 4, offset: 8},
		{start: 3, lines: 1, text: "three\n", next: 4, total: 4, offset: 14},
		{start: 4, lines: 9, text: "four", total: 4, offset: 18},
		{start: 9, lines: 1, total: 4, offset: 18},
		{start: 2, length: 9, text: "two\n", next: 3, total: 4, offset: 8},
		{start: 3, length: 3, text: "thr", next: 4, total: 4, offset: 11},
	} {
		res, err := s.file.Read(ctx, &sandgatev1.ReadRequest{Path: "lines", StartLine: c.start, Lines: c.lines, Length: c.length})
		s.must(err)
		if res.GetText() != c.text || res.GetNextLine() != c.next || res.GetTotalLines() != c.total || res.GetNextOffset() != c.offset ||
			res.GetStartLine() != max(c.start, 1) || res.GetTotalSize() != 18 {
			s.Errorf("%+v: %v", c, res)
		}
	}
	_, err := s.file.Read(ctx, &sandgatev1.ReadRequest{Path: "lines", StartLine: 1, Offset: 1})
	s.wantCode(err, connect.CodeInvalidArgument)
	s.sh(`python3 -c 'open("lines", "w").write("".join(f"{i}\n" for i in range(1, 2000001)))'`)
	res, err := s.file.Read(ctx, &sandgatev1.ReadRequest{Path: "lines", StartLine: 1_500_000, Lines: 2})
	s.must(err)
	if res.GetText() != "1500000\n1500001\n" || res.GetTotalLines() != 2_000_000 || res.GetNextLine() != 1_500_002 {
		s.Errorf("%v", res)
	}
	if res, err = s.file.Read(ctx, &sandgatev1.ReadRequest{Path: "lines", StartLine: 7, Lines: 1}); err != nil || res.GetTotalLines() != 0 {
		s.Errorf("counting what is far away: %v, %v", res, err)
	}
	s.sh("rm lines")
}

func (s *subject) filesCopy() {
	ctx := s.soon()
	s.sh(`mkdir -p c/d/sub c/d/fixed; cd c/d; echo 1 > f; echo 2 > sub/g; echo 3 > fixed/h; chmod 755 f; chmod 640 sub/g; chmod 500 fixed
ln -s f link; ln -s /nowhere broken; ln -s .. loop; mkfifo fifo; echo 4 > "$(printf 'a\nb')"`)
	res, err := s.file.Copy(ctx, &sandgatev1.CopyRequest{Source: "c/d", Destination: "c/new/e"})
	s.must(err)
	if res.GetFiles() != 7 || res.GetDirectories() != 3 || res.GetBytes() != 8 || res.GetSkipped() != 1 {
		s.Errorf("%v", res)
	}
	got := s.sh(`cd c/new/e; cat f sub/g fixed/h "$(printf 'a\nb')"; stat -c %a f sub/g fixed; readlink link broken loop; ls -a .. | grep -c sandgate`).stdout
	if want := "1\n2\n3\n4\n755\n640\n500\nf\n/nowhere\n..\n0\n"; got != want {
		s.Errorf("%q, want %q", got, want)
	}
	res, err = s.file.Copy(ctx, &sandgatev1.CopyRequest{Source: "c/d/f", Destination: "c/d/sub/g", Overwrite: true})
	s.must(err)
	if !strings.HasSuffix(res.GetFile().GetPath(), "/sub/g") || s.read("c/d/sub/g").GetText() != "1\n" {
		s.Errorf("%v", res)
	}
	_, err = s.file.Copy(ctx, &sandgatev1.CopyRequest{Source: "c/d/link", Destination: "c/link2"})
	s.must(err)
	s.sh("ln -s . c/here; mkdir c/locked; echo 1 > c/locked/f; chmod 0 c/locked/f")
	for _, test := range []struct {
		source, destination string
		overwrite           bool
		want                connect.Code
	}{
		{"c/d/f", "c/link2", false, connect.CodeAlreadyExists},
		{"c/d", "c/new", true, connect.CodeFailedPrecondition}, // which is not empty
		{"c/d/f", "c/d/f", true, connect.CodeInvalidArgument},
		{"c/d/f", "c/here/d/f", true, connect.CodeInvalidArgument},
		{"c/d", "c/d/x", false, connect.CodeInvalidArgument},
		{"c/d", "c/here/here/d/x/y/z", false, connect.CodeInvalidArgument},
		{"/", "x", false, connect.CodeInvalidArgument},
		{"c/nothing", "x", false, connect.CodeNotFound},
		{"c/d/fifo", "x", false, connect.CodeFailedPrecondition},
		{"c/locked", "x", false, connect.CodePermissionDenied},
		{"/proc/self/environ", "x", false, connect.CodePermissionDenied},
		{"c/d/f", "/dev/shm/x", false, connect.CodePermissionDenied},
	} {
		_, err := s.file.Copy(ctx, &sandgatev1.CopyRequest{Source: test.source, Destination: test.destination, Overwrite: test.overwrite})
		if s.wantCode(err, test.want); s.Failed() {
			s.Fatalf("%+v", test)
		}
	}
	if got := s.sh("ls -a . c c/d | grep -E 'sandgate-|^x$'; ls c/d/x").stdout; got != "" {
		s.Errorf("failed copies left %q", got)
	}
	s.sh("chmod -R u+rwx c; rm -r c")
}

// filesCopyFull copies more than there is room for: nothing of it stays.
func (s *subject) filesCopyFull() {
	s.sh(fmt.Sprintf("mkdir full; truncate -s %d full/sparse; head -c 8M /dev/zero > full/data; echo 1 > full/a", s.suite.Spec.Limits.WorkspaceBytes-4<<20))
	_, err := s.file.Copy(s.soon(), &sandgatev1.CopyRequest{Source: "full", Destination: "copy"})
	s.wantCode(err, connect.CodeResourceExhausted)
	if got := s.sh("ls -d copy .sandgate-*; rm -r full").stdout; got != "" {
		s.Errorf("%q", got)
	}
	s.write("after", "there is room")
	s.must(s.remove("after"))
}

func (s *subject) filesHash() {
	ctx := s.soon()
	s.write("h1", "abc")
	s.write("h2", "")
	for algorithm, want := range map[sandgatev1.HashAlgorithm]string{
		sandgatev1.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		sandgatev1.HashAlgorithm_HASH_ALGORITHM_SHA1:        "a9993e364706816aba3e25717850c26c9cd0d89d",
		sandgatev1.HashAlgorithm_HASH_ALGORITHM_MD5:         "900150983cd24fb0d6963f7d28e17f72",
		sandgatev1.HashAlgorithm_HASH_ALGORITHM_SHA512: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
			"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	} {
		res, err := s.file.Hash(ctx, &sandgatev1.HashRequest{Paths: []string{"h1", "h2"}, Algorithm: algorithm})
		s.must(err)
		if len(res.GetFiles()) != 2 || res.GetFiles()[0].GetHash() != want || res.GetFiles()[0].GetSize() != 3 || res.GetFiles()[1].GetSize() != 0 {
			s.Errorf("%v: %v", algorithm, res)
		}
	}
	s.sh("mkfifo fifo; truncate -s 1T sparse; ln -s /proc/self/environ env")
	for path, want := range map[string]connect.Code{
		"nothing": connect.CodeNotFound, "fifo": connect.CodeFailedPrecondition, ".": connect.CodeFailedPrecondition,
		"/proc/1/environ": connect.CodePermissionDenied, "env": connect.CodePermissionDenied,
	} {
		_, err := s.file.Hash(ctx, &sandgatev1.HashRequest{Paths: []string{"h1", path}})
		s.wantCode(err, want)
	}
	if !s.suite.Isolated { // elsewhere no file can be so large
		_, err := s.file.Hash(ctx, &sandgatev1.HashRequest{Paths: []string{"sparse"}})
		s.wantCode(err, connect.CodeFailedPrecondition)
	}
	s.sh("rm -f h1 h2 fifo sparse env")
}

func (s *subject) filesDiff() {
	ctx := s.soon()
	s.write("d1", "a\nb\nc\n")
	s.write("d2", "a\nB\nc\n")
	res, err := s.file.Diff(ctx, &sandgatev1.DiffRequest{Path: "d1", Other: &sandgatev1.DiffRequest_OtherPath{OtherPath: "d2"}})
	s.must(err)
	_, hunk, _ := strings.Cut(res.GetDiff(), "@@ ")
	if hunk != "-1,3 +1,3 @@\n a\n-b\n+B\n c\n" || res.GetAdded() != 1 || res.GetRemoved() != 1 || res.GetNextOffset() != res.GetTotalSize() {
		s.Errorf("%v", res)
	}
	text := func(text string) *sandgatev1.DiffRequest {
		return &sandgatev1.DiffRequest{Path: "d1", Other: &sandgatev1.DiffRequest_Text{Text: text}}
	}
	if res, err = s.file.Diff(ctx, text("a\nb\nc\n")); err != nil || !res.GetEqual() {
		s.Errorf("%v, %v", res, err)
	}
	if res, err = s.file.Diff(ctx, text("\x00")); err != nil || !res.GetBinary() {
		s.Errorf("%v, %v", res, err)
	}
	// A diff that is longer than a reply comes in pieces.
	req := text(strings.Repeat("a line that is not in the file\n", 20_000))
	var whole strings.Builder
	for {
		res, err := s.file.Diff(ctx, req)
		s.must(err)
		whole.WriteString(res.GetDiff())
		if req.Offset = res.GetNextOffset(); req.GetOffset() == res.GetTotalSize() {
			break
		}
	}
	if got := strings.Count(whole.String(), "\n+a line"); got != 20_000 {
		s.Errorf("%d lines", got)
	}
	s.sh("mkfifo fifo; truncate -s 5M sparse")
	for path, want := range map[string]connect.Code{
		"nothing": connect.CodeNotFound, "fifo": connect.CodeFailedPrecondition, "sparse": connect.CodeFailedPrecondition,
		"/proc/1/environ": connect.CodePermissionDenied,
	} {
		_, err := s.file.Diff(ctx, &sandgatev1.DiffRequest{Path: "d1", Other: &sandgatev1.DiffRequest_OtherPath{OtherPath: path}})
		s.wantCode(err, want)
	}
	s.sh("rm d1 d2 fifo sparse")
}
