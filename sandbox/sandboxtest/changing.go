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
	s.sh(`mkdir full; truncate -s 1T full/sparse; echo 1 > full/a`)
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
	_, err := s.file.Hash(ctx, &sandgatev1.HashRequest{Paths: []string{"sparse"}})
	s.wantCode(err, connect.CodeFailedPrecondition)
	s.sh("rm h1 h2 fifo sparse env")
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
	s.sh("mkfifo fifo; truncate -s 1T sparse")
	for path, want := range map[string]connect.Code{
		"nothing": connect.CodeNotFound, "fifo": connect.CodeFailedPrecondition, "sparse": connect.CodeFailedPrecondition,
		"/proc/1/environ": connect.CodePermissionDenied,
	} {
		_, err := s.file.Diff(ctx, &sandgatev1.DiffRequest{Path: "d1", Other: &sandgatev1.DiffRequest_OtherPath{OtherPath: path}})
		s.wantCode(err, want)
	}
	s.sh("rm d1 d2 fifo sparse")
}

// change is a patch of a file with one line.
func change(path, from, to string) string {
	return fmt.Sprintf("--- a/%s\n+++ b/%s\n@@ -1 +1 @@\n-%s\n+%s\n", path, path, from, to)
}

func (s *subject) filesPatch() {
	ctx := s.soon()
	s.sh("mkdir p; cd p; echo one > a; printf 'x\\ny\\none\\n' > b; echo gone > c; chmod 750 a; ln -s a link")
	const create = "--- /dev/null\n+++ b/new/dir/f\n@@ -0,0 +1,2 @@\n+first\n+last\n\\ No newline at end of file\n"
	const remove = "--- a/c\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n"
	all := change("link", "one", "1") + create + remove + change("b", "one", "1")
	for _, dry := range []bool{true, false} {
		res, err := s.file.Patch(ctx, &sandgatev1.PatchRequest{Path: "p", Patch: all, DryRun: dry})
		s.must(err)
		files := res.GetFiles()
		if len(files) != 4 || files[0].GetChange() != sandgatev1.ChangeType_CHANGE_TYPE_WRITE || files[1].GetChange() != sandgatev1.ChangeType_CHANGE_TYPE_CREATE ||
			files[2].GetChange() != sandgatev1.ChangeType_CHANGE_TYPE_REMOVE || files[3].GetHunks()[0].GetShift() != 2 || files[3].GetHunks()[0].GetLine() != 3 {
			s.Errorf("%v", res)
		}
		want := "one\nx\ny\none\na b c link\n750\na\n"
		if !dry {
			want = "1\nx\ny\n1\na b link new\n750\na\n"
		}
		if got := s.sh("cd p; cat a b; echo *; stat -c %a a; readlink link").stdout; got != want {
			s.Errorf("%q, want %q", got, want)
		}
	}
	if got := s.read("p/new/dir/f").GetText(); got != "first\nlast" {
		s.Errorf("%q", got)
	}
	s.sh("rm -r p")
}

// filesPatchFails applies patches that cannot be applied as a whole: nothing of them is.
func (s *subject) filesPatchFails() {
	ctx := s.soon()
	s.sh(`mkdir -p p/shut p/dir; cd p; echo one > a; echo two > b; echo three > shut/f; chmod 500 shut; ln a same; mkfifo fifo
ln -s /proc/self/environ env; printf 'one\r\n' > dos`)
	create := func(path string) string { return "--- /dev/null\n+++ b/" + path + "\n@@ -0,0 +1 @@\n+x\n" }
	for _, c := range []struct {
		patch string
		want  connect.Code
		says  string
	}{
		{change("b", "zwei", "2"), connect.CodeFailedPrecondition, `hunk 1 (line 12 of the patch) does not fit at line 1: line 1 is "two", not "zwei"`},
		{change("dos", "one", "1"), connect.CodeFailedPrecondition, `\r\n`},
		{change("nothing", "one", "1"), connect.CodeNotFound, "nothing"},
		{create("b"), connect.CodeAlreadyExists, "b"},
		{"--- a/b\n+++ /dev/null\n@@ -1 +1 @@\n-two\n+2\n", connect.CodeFailedPrecondition, "leaves something"},
		{change("same", "one", "1"), connect.CodeFailedPrecondition, "same file"},
		{change("dir", "one", "1"), connect.CodeFailedPrecondition, "dir"},
		{change("fifo", "one", "1"), connect.CodeFailedPrecondition, "fifo"},
		{change("env", "one", "1"), connect.CodePermissionDenied, "env"},
		{change("../../../../../../../../proc/self/environ", "one", "1"), connect.CodePermissionDenied, "/proc/self"},
		{create("b/below"), connect.CodeFailedPrecondition, "b/below"},
		{create("dir/" + strings.Repeat("n", 300)), connect.CodeInvalidArgument, "nnn"},
		{create("shut/new"), connect.CodePermissionDenied, "shut"},
		{change("shut/f", "three", "3"), connect.CodePermissionDenied, "shut"},
		{"--- a/shut/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-three\n", connect.CodePermissionDenied, "shut"}, // after others were replaced
		{"no patch", connect.CodeInvalidArgument, "a line more"},
	} {
		patch := change("a", "one", "1") + create("new/f") + c.patch
		if c.says == "a line more" {
			patch = change("a", "one", "1") + " more\n"
		}
		if c.want == connect.CodePermissionDenied && !s.suite.Isolated && strings.Contains(c.patch, "shut") && s.sh("id -u").stdout == "0\n" {
			continue // nothing is shut for root
		}
		_, err := s.file.Patch(ctx, &sandgatev1.PatchRequest{Path: "p", Patch: patch})
		s.wantCode(err, c.want)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			s.Errorf("error %v, want %q", err, c.says)
		}
		if got := s.sh("cd p; cat a b; ls -A . shut dir | tr '\\n' ' '").stdout; got != "one\ntwo\n.: a b dir dos env fifo same shut  dir:  shut: f " {
			s.Fatalf("%q left %q", c.patch, got)
		}
	}
	s.sh("chmod 700 p/shut; rm -r p")
}

// filesPatchFull patches files where there is no room for it.
func (s *subject) filesPatchFull() {
	s.sh("mkdir p; cd p; seq 100000 > big; echo one > a; cp big ~/fill; while cat big >> ~/fill; do :; done")
	lines := strings.Repeat("+much more of it than there is room for, line by line by line by line\n", 40_000)
	patch := change("a", "one", "1") + fmt.Sprintf("--- big\n+++ big\n@@ -1 +1,40001 @@\n 1\n%s", lines)
	_, err := s.file.Patch(s.soon(), &sandgatev1.PatchRequest{Path: "p", Patch: patch})
	s.wantCode(err, connect.CodeResourceExhausted)
	if got := s.sh("rm ~/fill; cd p; cat a; wc -l < big; ls -A | tr '\\n' ' '").stdout; got != "one\n100000\na big " {
		s.Errorf("%q", got)
	}
	s.sh("rm -r p")
}
