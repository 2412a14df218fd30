package sandboxtest

import (
	"fmt"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

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
