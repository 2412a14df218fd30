package sandboxtest

import (
	"context"
	"path"
	"strings"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// soon bounds a call that once did not come back.
func (s *subject) soon() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	s.Cleanup(cancel)
	return ctx
}

func (s *subject) remove(path string) error {
	_, err := s.file.Remove(s.soon(), &sandgatev1.RemoveRequest{Path: path, Recursive: true})
	return err
}

// filesViews works by way of a symbolic link on what the guest itself is to the system.
func (s *subject) filesViews() {
	ctx := s.soon()
	s.sh("ln -s /proc/self view; echo keep > kept")
	for _, path := range []string{"view/task", "view/fd", "view/fd/0", "view/root/proc/self"} {
		s.wantCode(s.remove(path), connect.CodePermissionDenied)
	}
	for _, path := range []string{"view/fd/0", "view/exe", "view/environ", "view/task", "view/root/proc/self/status"} {
		_, err := s.file.Stat(ctx, &sandgatev1.StatRequest{Path: path})
		s.wantCode(err, connect.CodePermissionDenied)
		_, err = s.file.Move(ctx, &sandgatev1.MoveRequest{Source: path, Destination: "moved"})
		s.wantCode(err, connect.CodePermissionDenied)
		_, err = s.file.Move(ctx, &sandgatev1.MoveRequest{Source: "kept", Destination: path, Overwrite: true})
		s.wantCode(err, connect.CodePermissionDenied)
	}
	for _, path := range []string{"view/fd", "view/task/new", "view/new"} {
		_, err := s.file.MakeDir(ctx, &sandgatev1.MakeDirRequest{Path: path})
		s.wantCode(err, connect.CodePermissionDenied)
	}
	if got := s.read("kept").GetText(); got != "keep\n" {
		s.Errorf("%q", got)
	}
	s.must(s.remove("view")) // the link itself
	s.sh("rm kept")
}

// filesStay removes and moves what must stay.
func (s *subject) filesStay() {
	ctx := s.soon()
	home := strings.TrimSpace(s.sh("echo keep > kept; mkdir d; ln -s / root; pwd -P").stdout)
	stays := []string{".", home, "d/..", "root" + home}
	if s.suite.Isolated { // elsewhere a mistake would be dear
		above := path.Dir(home)
		stays = append(stays, above, "d/../..", "root"+above, "/", "/tmp", "root/tmp", "root/dev/shm")
	}
	for _, path := range stays {
		for _, recursive := range []bool{true, false} {
			_, err := s.file.Remove(ctx, &sandgatev1.RemoveRequest{Path: path, Recursive: recursive})
			s.wantCode(err, connect.CodePermissionDenied)
		}
		for _, overwrite := range []bool{true, false} {
			_, err := s.file.Move(ctx, &sandgatev1.MoveRequest{Source: path, Destination: "/tmp/elsewhere", Overwrite: overwrite})
			s.wantCode(err, connect.CodePermissionDenied)
		}
		_, err := s.file.Move(ctx, &sandgatev1.MoveRequest{Source: "d", Destination: path, Overwrite: true})
		s.wantCode(err, connect.CodePermissionDenied)
	}
	if got := s.sh("cat kept; test -d d && echo d"); got.stdout != "keep\nd\n" {
		s.Errorf("%+v", got)
	}
	s.sh("rm -r kept d root")
}

// filesDeep removes a tree that is deeper than descriptors and paths go.
func (s *subject) filesDeep() {
	run := s.sh(`python3 -c '
import os
os.mkdir("deep"); os.chdir("deep")
for i in range(15000):
    if i % 5000 == 0: open("file", "w").close(); os.mkdir("beside")
    os.mkdir("d"); os.chdir("d")
print(i)'`)
	if run.stdout != "14999\n" {
		s.Fatalf("%+v", run)
	}
	s.must(s.remove("deep"))
	_, err := s.file.Stat(s.Context(), &sandgatev1.StatRequest{Path: "deep"})
	s.wantCode(err, connect.CodeNotFound)
}

// filesClosed removes a tree of which some may not be read or written.
func (s *subject) filesClosed() {
	s.sh(`mkdir -p c/open/in c/shut/in c/empty c/list c/fixed/in outside; touch c/open/f c/list/f c/fixed/in/f outside/f
ln -s ../outside c/link; chmod 0 c/shut c/empty; chmod 600 c/list; chmod 500 c/fixed`)
	s.wantCode(s.remove("c"), connect.CodePermissionDenied)
	if got := s.sh("cd c; echo *; chmod 700 *; echo shut/* list/* fixed/* fixed/in/*; ls ../outside").stdout; got !=
		"fixed list shut\nshut/in list/f fixed/in fixed/in/*\nf\n" {
		s.Errorf("%q", got)
	}
	s.must(s.remove("c"))
	s.sh("rm -r outside; mkdir -p e/f; chmod 0 e/f")
	s.must(s.remove("e"))
}

// filesRaced removes a tree while a program makes and moves what is in it. Each removal ends, well or
// with an error, at the latest with its caller's time, and what is behind a symbolic link stays.
func (s *subject) filesRaced() {
	next := s.start(s.Context(), &sandgatev1.StartRequest{Command: "python3", Args: []string{"-u", "-c", `
import itertools, os
os.makedirs("kept/inner"); open("kept/inner/file", "w").close()
print("on")
for i in itertools.cycle(range(300)):
    for make in (lambda: os.makedirs("raced/a/b/c/d"), lambda: open(f"raced/a/b/{i}", "w").close(),
                 lambda: open(f"raced/a/{i}", "w").close(), lambda: os.rename("raced/a/b", f"raced/{i}"),
                 lambda: os.rename("raced/a", f"other{i % 3}"), lambda: os.symlink(os.path.abspath("kept"), f"raced/a/b/l{i}"),
                 lambda: os.rename(f"raced/{i}", "raced/a")):
        try: make()
        except OSError: pass
`}})
	id, _, _, _ := s.follow(next, func(out []byte) bool { return strings.HasPrefix(string(out), "on") })
	for range 10 {
		ctx, cancel := context.WithTimeout(s.Context(), 2*time.Second)
		_, err := s.file.Remove(ctx, &sandgatev1.RemoveRequest{Path: "raced", Recursive: true})
		cancel()
		switch connect.CodeOf(err) {
		case connect.CodeFailedPrecondition, connect.CodeNotFound, connect.CodeDeadlineExceeded:
		default:
			if err != nil {
				s.Error(err)
			}
		}
	}
	_, err := s.process.SendSignal(s.Context(), &sandgatev1.SendSignalRequest{ProcessId: id, Signal: sandgatev1.Signal_SIGNAL_KILL})
	s.must(err)
	s.sh("mkdir -p raced")
	s.must(s.remove("raced"))
	if got := s.sh("ls kept/inner; rm -r kept; rm -rf other*"); got.stdout != "file\n" {
		s.Errorf("%+v", got)
	}
}

// filesListOdd lists names and places that cannot be used like others.
func (s *subject) filesListOdd() {
	ctx := s.soon()
	s.sh(`python3 -c '
import os
os.makedirs("odd/list"); os.chdir("odd")
for name in b"\xffbad", b"\xfebad", b"after": open(name, "w").close()
open("list/file", "w").close(); os.chmod("list", 0o600)
os.mkdir("n"); os.chdir("n")
for i in range(20): os.mkdir("n" * 250); os.chdir("n" * 250)'`)
	var files []*sandgatev1.FileInfo
	for token, more := "", true; more; more = token != "" {
		res, err := s.file.ListFiles(ctx, &sandgatev1.ListFilesRequest{Path: "odd", Depth: 64, PageSize: 1, PageToken: token})
		s.must(err)
		files = append(files, res.GetFiles()...)
		token = res.GetNextPageToken()
	}
	var names []string
	longest := 0
	for _, file := range files {
		if longest = max(longest, len(file.GetPath())); len(file.GetPath()) < 200 {
			names = append(names, path.Base(file.GetPath()))
		}
		if path.Base(file.GetPath()) == "file" && (file.GetType() != sandgatev1.FileType_FILE_TYPE_OTHER || file.GetModifiedAt() != nil) {
			s.Errorf("what may not be looked at: %v", file)
		}
	}
	if got := strings.Join(names, " "); got != "after list file n \uFFFDbad \uFFFDbad" {
		s.Errorf("%q", got)
	}
	if longest < 4096 { // that a folder with such a path exists is told, if not what is in it
		s.Errorf("the longest path listed has %d bytes", longest)
	}
	_, err := s.file.ListFiles(ctx, &sandgatev1.ListFilesRequest{Path: "odd", PageToken: "no token"})
	s.wantCode(err, connect.CodeInvalidArgument)
	s.sh("chmod 700 odd/list; rm -r odd")
	if s.suite.Isolated {
		_, err := s.file.ListFiles(ctx, &sandgatev1.ListFilesRequest{Path: "/", Depth: 3, PageSize: 10_000})
		s.must(err)
	}
}

// homeLocked takes the permissions of the home away before each kind of call.
func (s *subject) homeLocked() {
	ctx := s.soon()
	mode := strings.TrimSpace(s.sh("stat -c %a .").stdout)
	lock := func(mode string) { s.sh("chmod " + mode + " ~") }
	for _, taken := range []string{"0", "100", "500", "600"} {
		lock(taken)
		s.write("w/f", "x")
		lock(taken)
		_, err := s.file.ListFiles(ctx, &sandgatev1.ListFilesRequest{})
		s.must(err)
		lock(taken)
		s.must(s.remove("w"))
		lock(taken)
		if got := s.sh("pwd > p; stat -c %a ~; rm p"); got.stdout != "700\n" || got.stderr != "" {
			s.Errorf("%+v", got)
		}
		if !s.suite.Python {
			continue
		}
		run, err := s.runCell(ctx, &sandgatev1.RunRequest{Code: "import os; os.chmod('/home/user', 0o" + taken + "); os._exit(0)"})
		s.must(err)
		s.usable("a home of mode " + taken)
		if !run.result.GetStateLost() {
			s.Errorf("%v", run.result)
		}
		lock(taken)
		_, err = s.python.RestartContext(ctx, &sandgatev1.RestartContextRequest{})
		s.must(err)
	}
	lock(mode)
}
