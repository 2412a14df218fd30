package sandboxtest

import (
	"context"
	"fmt"
	"path"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// plant makes a directory of what a search must take and what it must leave alone.
func (s *subject) plant() {
	s.sh(`mkdir -p find/src/deep find/.git find/shut; cd find
printf 'alpha\nneedle one\nomega\n' > src/a.go; printf 'Needle two\n' > src/deep/b.go; printf 'needle three\n' > notes.txt
printf 'needle\0' > binary; printf 'needle hidden\n' > .git/config; printf 'needle shut\n' > shut/f; chmod 0 shut
ln -s ../.. src/up; ln -s loop loop; mkfifo fifo; ln -s /dev/zero zero; ln -s /proc/self proc; ln -s notes.txt link
printf 'needle odd\n' > "$(printf 'new\nline')"`)
}

func (s *subject) uproot() { s.sh("chmod 700 find/shut; rm -rf find") }

func (s *subject) filesGlob() {
	ctx := s.soon()
	s.plant()
	defer s.uproot()
	for _, c := range []struct {
		req  *sandgatev1.GlobRequest
		want string
	}{
		{&sandgatev1.GlobRequest{Pattern: "**/*.go", Path: "find"}, "src/a.go src/deep/b.go"},
		{&sandgatev1.GlobRequest{Pattern: "find/**/*.{go,txt}"}, "notes.txt src/a.go src/deep/b.go"},
		{&sandgatev1.GlobRequest{Pattern: "**/config", Path: "find"}, ""},
		{&sandgatev1.GlobRequest{Pattern: "**/config", Path: "find", IncludeHidden: true}, ".git/config"},
		{&sandgatev1.GlobRequest{Pattern: ".git/*", Path: "find"}, ".git/config"},
		{&sandgatev1.GlobRequest{Pattern: "new?line", Path: "find"}, "new\nline"},
		{&sandgatev1.GlobRequest{Pattern: "[!b-z]*/nothing", Path: "find"}, ""},
		{&sandgatev1.GlobRequest{Pattern: "*", Path: "find"}, "binary fifo link loop new\nline notes.txt proc shut src zero"},
	} {
		var found []string
		for more := true; more; more = c.req.GetPageToken() != "" {
			c.req.PageSize = 2
			res, err := s.file.Glob(ctx, c.req)
			s.must(err)
			for _, file := range res.GetFiles() {
				_, rest, _ := strings.Cut(file.GetPath(), "/find/")
				found = append(found, rest)
			}
			c.req.PageToken = res.GetNextPageToken()
		}
		if got := strings.Join(found, " "); got != c.want {
			s.Errorf("%s found %q, want %q", c.req.GetPattern(), got, c.want)
		}
	}
	home := strings.TrimSpace(s.sh("pwd -P").stdout)
	res, err := s.file.Glob(ctx, &sandgatev1.GlobRequest{Pattern: home + "/find/*.txt"})
	s.must(err)
	if len(res.GetFiles()) != 1 || res.GetFiles()[0].GetSize() != 13 {
		s.Errorf("an absolute pattern: %v", res)
	}
	for req, want := range map[*sandgatev1.GlobRequest]connect.Code{
		{Pattern: "["}:                                connect.CodeInvalidArgument,
		{Pattern: "../*"}:                             connect.CodeInvalidArgument,
		{Pattern: "*", Path: "find/notes.txt"}:        connect.CodeFailedPrecondition,
		{Pattern: "*", Path: "find/nothing"}:          connect.CodeNotFound,
		{Pattern: "*", Path: "/proc"}:                 connect.CodePermissionDenied,
		{Pattern: "/proc/*/environ"}:                  connect.CodePermissionDenied,
		{Pattern: "*", Path: "find/proc/task"}:        connect.CodePermissionDenied,
		{Pattern: "*", Path: "find/loop"}:             connect.CodeInvalidArgument,
		{Pattern: "*", PageToken: "no token"}:         connect.CodeInvalidArgument,
		{Pattern: strings.Repeat("{a,b}", 20) + "/*"}: connect.CodeInvalidArgument,
	} {
		_, err := s.file.Glob(ctx, req)
		s.wantCode(err, want)
	}
}

// grep returns what is found, as grep -n prints it, page by page.
func (s *subject) grep(ctx context.Context, req *sandgatev1.GrepRequest) (found string, last *sandgatev1.GrepResponse) {
	s.Helper()
	var out strings.Builder
	for more := true; more; more = req.GetPageToken() != "" {
		res, err := s.file.Grep(ctx, req)
		s.must(err)
		for _, file := range res.GetFiles() {
			for _, line := range file.GetLines() {
				mark := ":"
				if line.GetContext() {
					mark = "-"
				}
				fmt.Fprintf(&out, "%s%s%d%s%s\n", path.Base(file.GetPath()), mark, line.GetNumber(), mark, line.GetText())
			}
		}
		req.PageToken, last = res.GetNextPageToken(), res
	}
	return out.String(), last
}

func (s *subject) filesGrep() {
	ctx := s.soon()
	s.plant()
	defer s.uproot()
	for _, c := range []struct {
		req  *sandgatev1.GrepRequest
		want string
	}{
		{&sandgatev1.GrepRequest{Pattern: "needle"}, "new\nline:1:needle odd\nnotes.txt:1:needle three\na.go:2:needle one\n"},
		{&sandgatev1.GrepRequest{Pattern: "^need(le) t", IgnoreCase: true}, "notes.txt:1:needle three\nb.go:1:Needle two\n"},
		{&sandgatev1.GrepRequest{Pattern: "needle", Include: []string{"*.go"}, ContextLines: 1}, "a.go-1-alpha\na.go:2:needle one\na.go-3-omega\n"},
		{&sandgatev1.GrepRequest{Pattern: "needle", Exclude: []string{"src", "new*"}}, "notes.txt:1:needle three\n"},
		{&sandgatev1.GrepRequest{Pattern: "needle h", IncludeHidden: true}, "config:1:needle hidden\n"},
		{&sandgatev1.GrepRequest{Pattern: "e.t", Literal: true}, ""},
		{&sandgatev1.GrepRequest{Pattern: "needle", Path: "find/src/a.go"}, "a.go:2:needle one\n"},
	} {
		if c.req.GetPath() == "" {
			c.req.Path = "find"
		}
		for _, matches := range []int32{0, 1} {
			c.req.MaxMatches = matches
			if got, _ := s.grep(ctx, c.req); got != c.want {
				s.Errorf("%v: found %q, want %q", c.req, got, c.want)
			}
		}
	}
	res, err := s.file.Grep(ctx, &sandgatev1.GrepRequest{Pattern: "needle", Path: "find"})
	s.must(err)
	if unreadable := res.GetUnreadable(); res.GetMatches() != 3 || res.GetSearched() != 4 || res.GetBinary() != 1 || unreadable != 1 {
		s.Errorf("counts: %v", res)
	}
	for req, want := range map[*sandgatev1.GrepRequest]connect.Code{
		{Pattern: "("}:                                connect.CodeInvalidArgument,
		{Pattern: "a", Include: []string{"["}}:        connect.CodeInvalidArgument,
		{Pattern: "a", PageToken: "no token"}:         connect.CodeInvalidArgument,
		{Pattern: "a", PageToken: "LTUgMSAv"}:         connect.CodeInvalidArgument, // "-5 1 /"
		{Pattern: "a", Path: "find/fifo"}:             connect.CodeFailedPrecondition,
		{Pattern: "a", Path: "find/zero"}:             connect.CodeFailedPrecondition,
		{Pattern: "a", Path: "find/proc/environ"}:     connect.CodePermissionDenied,
		{Pattern: "a", Path: "find/proc/task"}:        connect.CodePermissionDenied,
		{Pattern: "a", Path: "/sys/kernel"}:           connect.CodePermissionDenied,
		{Pattern: "a", Path: "find/nothing"}:          connect.CodeNotFound,
		{Pattern: strings.Repeat("(a{999}){999}", 3)}: connect.CodeInvalidArgument,
	} {
		_, err := s.file.Grep(ctx, req)
		s.wantCode(err, want)
	}
}

// filesGrepHuge searches what is large: many files, many matches, a line without end, a file without end.
func (s *subject) filesGrepHuge() {
	ctx := s.soon()
	s.sh(`python3 -c '
import os
os.makedirs("huge/many"); os.chdir("huge")
for i in range(500): open(f"many/{i:03}", "w").write("x\n" * 99 + f"match {i}\n")
open("line", "w").write("y" * 3000000 + "match" + "z" * 3000000)
open("lines", "w").write("match \u00e9\n" * 20000)
os.truncate(os.open("sparse", os.O_CREAT | os.O_WRONLY), 48 << 20)'`)
	got, last := s.grep(ctx, &sandgatev1.GrepRequest{Pattern: "match", Path: "huge", MaxMatches: 1000})
	if matches := strings.Count(got, "\n"); matches != 20_501 {
		s.Errorf("%d matches; last %v", matches, last)
	}
	res, err := s.file.Grep(ctx, &sandgatev1.GrepRequest{Pattern: "match", Path: "huge/line"})
	s.must(err)
	if line := res.GetFiles()[0].GetLines()[0]; !line.GetClipped() || len(line.GetText()) > 400 || !strings.Contains(line.GetText(), "ymatchz") {
		s.Errorf("%v", line)
	}
	left, cancel := context.WithCancel(ctx)
	cancel()
	_, err = s.file.Grep(left, &sandgatev1.GrepRequest{Pattern: "match", Path: "huge"})
	s.wantCode(err, connect.CodeCanceled)
	s.sh("rm -r huge")
}

func (s *subject) filesTree() {
	ctx := s.soon()
	s.plant()
	defer s.uproot()
	tree := func(req *sandgatev1.TreeRequest) string {
		s.Helper()
		req.Path = "find"
		res, err := s.file.Tree(ctx, req)
		s.must(err)
		var out strings.Builder
		fmt.Fprintf(&out, "+%d", res.GetUnlisted())
		for _, entry := range res.GetEntries() {
			fmt.Fprintf(&out, " %s%s", strings.Repeat(">", int(entry.GetDepth())), entry.GetName())
			if entry.GetUnlisted() > 0 {
				fmt.Fprintf(&out, "+%d", entry.GetUnlisted())
			}
			if entry.GetUnreadable() {
				out.WriteString("!")
			}
		}
		return out.String()
	}
	const top = " >binary >fifo >link >loop >new\nline >notes.txt >proc >shut!"
	for _, c := range []struct {
		req  *sandgatev1.TreeRequest
		want string
	}{
		{&sandgatev1.TreeRequest{}, "+0" + top + " >src >>a.go >>deep >>>b.go >>up >zero"},
		{&sandgatev1.TreeRequest{Depth: 1}, "+0" + top + " >src+3 >zero"},
		{&sandgatev1.TreeRequest{MaxEntries: 2}, "+8 >binary >fifo"},
		{&sandgatev1.TreeRequest{MaxEntries: 12}, "+0" + top + " >src+1 >>a.go >>deep+1 >zero"},
		{&sandgatev1.TreeRequest{MaxEntries: 1, IncludeHidden: true}, "+10 >.git+1"},
	} {
		if got := tree(c.req); got != c.want {
			s.Errorf("%v: %q, want %q", c.req, got, c.want)
		}
	}
	for path, want := range map[string]connect.Code{
		"find/notes.txt": connect.CodeFailedPrecondition, "find/nothing": connect.CodeNotFound, "find/proc/fd": connect.CodePermissionDenied, "/dev": connect.CodePermissionDenied,
	} {
		_, err := s.file.Tree(ctx, &sandgatev1.TreeRequest{Path: path})
		s.wantCode(err, want)
	}
}
