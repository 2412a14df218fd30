package sandboxtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// cellRun is what a cell did.
type cellRun struct {
	stdout, stderr string
	displays       []*sandgatev1.Display
	result         *sandgatev1.RunResult
}

// value returns the text of the cell's last expression.
func (c cellRun) value() string {
	for _, display := range c.displays {
		if display.GetIsResult() {
			return display.GetText()
		}
	}
	return ""
}

func (c cellRun) String() string {
	return fmt.Sprintf("stdout %.300q stderr %.300q value %.300q result %v", c.stdout, c.stderr, c.value(), c.result)
}

func (s *subject) runCell(ctx context.Context, req *sandgatev1.RunRequest) (cellRun, error) {
	var run cellRun
	stream, err := s.python.Run(ctx, req)
	if err != nil {
		return run, err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		switch event := stream.Msg().GetEvent().(type) {
		case *sandgatev1.RunResponse_Stdout:
			run.stdout += string(event.Stdout.GetData())
		case *sandgatev1.RunResponse_Stderr:
			run.stderr += string(event.Stderr.GetData())
		case *sandgatev1.RunResponse_Display:
			run.displays = append(run.displays, event.Display)
		case *sandgatev1.RunResponse_Result:
			run.result = event.Result
		}
	}
	return run, stream.Err()
}

// py runs a cell that must be able to run.
func (s *subject) py(code string) cellRun {
	s.Helper()
	run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: code})
	if err != nil {
		s.Fatalf("%.200s: %v", code, err)
	}
	if run.result == nil {
		s.Fatalf("%.200s: no result", code)
	}
	return run
}

// usable fails the test unless the session works as if nothing had been: its default context, threads
// and programs that cells start, programs that commands start, and its files.
func (s *subject) usable(after string) {
	s.Helper()
	s.answers(after)
	run := s.py(`import subprocess, threading
t = threading.Thread(target=print, args=("thread",)); t.start(); t.join()
print(subprocess.run(["echo", "program"], capture_output=True, text=True).stdout)`)
	if run.stdout != "thread\nprogram\n\n" {
		s.Errorf("after %.100s, what a cell starts: %v", after, run)
	}
	s.works(after)
}

// works fails the test unless commands and files work.
func (s *subject) works(after string) {
	s.Helper()
	run, err := s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: "echo pipeline | cat | tee ~/usable && rm ~/usable"})
	if err != nil || run.stdout != "pipeline\n" || run.stderr != "" {
		s.Errorf("after %.100s, a pipeline: %+v, %v", after, run, err)
	}
	_, err = s.file.Write(s.Context(), &sandgatev1.WriteRequest{Path: "usable", Content: &sandgatev1.WriteRequest_Data{Data: []byte("x")}})
	if err == nil {
		_, err = s.file.Remove(s.Context(), &sandgatev1.RemoveRequest{Path: "usable"})
	}
	if err != nil {
		s.Errorf("after %.100s, a file: %v", after, err)
	}
}

// answers fails the test unless the default context does.
func (s *subject) answers(after string) {
	s.Helper()
	if run := s.py("40+2"); run.value() != "42" || run.result.GetStatus() != sandgatev1.Status_STATUS_OK {
		s.Errorf("after %.100s: %v", after, run)
	}
}

func (s *subject) pythonState() {
	s.py("import json; x = 41")
	run := s.py("x += 1\nprint('hi')\njson.dumps(x)")
	if run.stdout != "hi\n" || run.value() != "'42'" {
		s.Errorf("%v", run)
	}
	if run := s.py("import asyncio\nawait asyncio.sleep(0.01)\nx"); run.value() != "42" {
		s.Errorf("await: %v", run)
	}
	if run := s.py("import os; os.getcwd(), os.getuid() != 0, open('/proc/self/comm').read() != ''"); run.value() != "('/home/user', True, True)" && s.suite.Isolated {
		s.Errorf("%v", run)
	}
	env, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: "import os; os.environ['K']", Env: map[string]string{"K": "v"}})
	s.must(err)
	if env.value() != "'v'" || s.py("'K' in os.environ").value() != "False" {
		s.Errorf("environment of one call: %v", env)
	}
	receipt := s.py("sum(i*i for i in range(10**6))").result.GetReceipt()
	if receipt.GetWall().AsDuration() <= 0 || receipt.GetCpu().AsDuration() <= 0 || receipt.GetPeakMemoryBytes() <= 0 || receipt.GetBytesIn() == 0 {
		s.Errorf("receipt %v", receipt)
	}
}

func (s *subject) pythonOutcomes() {
	for _, c := range []struct {
		name, code string
		status     sandgatev1.Status
		lost       bool
		exit       int32
		errorName  string
	}{
		{"exception", "1/0", sandgatev1.Status_STATUS_ERROR, false, 0, "ZeroDivisionError"},
		{"syntax", "def", sandgatev1.Status_STATUS_ERROR, false, 0, "SyntaxError"},
		{"input", "input()", sandgatev1.Status_STATUS_ERROR, false, 0, "EOFError"},
		{"exit 0", "import sys; sys.exit()", sandgatev1.Status_STATUS_OK, false, 0, ""},
		{"exit 3", "sys.exit(3)", sandgatev1.Status_STATUS_ERROR, false, 3, ""},
		{"recursion", "def f(): f()\nf()", sandgatev1.Status_STATUS_ERROR, false, 0, "RecursionError"},
		{"hard exit", "import os; os._exit(9)", sandgatev1.Status_STATUS_ERROR, true, 9, ""},
		{"segfault", "import ctypes; ctypes.string_at(0)", sandgatev1.Status_STATUS_KILLED, true, 139, ""},
		{"abort", "import os; os.abort()", sandgatev1.Status_STATUS_KILLED, true, 134, ""},
		{"suicide", "import os; os.kill(os.getpid(), 9)", sandgatev1.Status_STATUS_KILLED, true, 137, ""},
		{"exec", "import os; os.execv('/bin/true', ['true'])", sandgatev1.Status_STATUS_ERROR, true, 0, ""},
	} {
		run := s.py(c.code)
		r := run.result
		if r.GetStatus() != c.status || r.GetStateLost() != c.lost || r.GetExitCode() != c.exit || r.GetError().GetName() != c.errorName {
			s.Errorf("%s: %v", c.name, run)
		}
		s.usable(c.name)
	}
}

func (s *subject) pythonInterrupt() {
	for _, c := range []struct {
		code string
		lost bool
	}{
		{"import time; print('go', flush=True); time.sleep(300)", false},
		{"print('go', flush=True)\nwhile True: pass", false},
		{"import subprocess; print('go', flush=True); subprocess.run(['sleep', '300'])", false},
		{"import asyncio; print('go', flush=True); await asyncio.sleep(300)", false},
		// One C call that never looks for signals. It says itself that it has begun, as an interrupt
		// that came before it would find Python.
		{"import os, itertools; sum(itertools.chain(map(os.write, [1], [b'go']), range(10**12)))", true},
		{"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('go', flush=True)\nwhile True: pass", true},
	} {
		s.py("kept = 1")
		stream, err := s.python.Run(s.Context(), &sandgatev1.RunRequest{Code: c.code})
		s.must(err)
		if !stream.Receive() {
			s.Fatal(stream.Err())
		}
		res, err := s.python.Interrupt(s.Context(), &sandgatev1.InterruptRequest{})
		s.must(err)
		if !res.GetInterrupted() {
			s.Errorf("%q: nothing was interrupted", c.code)
		}
		var result *sandgatev1.RunResult
		for stream.Receive() {
			if stream.Msg().GetResult() != nil {
				result = stream.Msg().GetResult()
			}
		}
		s.must(stream.Err())
		_ = stream.Close()
		s.wantStatus(result.GetStatus(), sandgatev1.Status_STATUS_INTERRUPTED, result)
		if result.GetStateLost() != c.lost {
			s.Errorf("%q: state lost %v: %v", c.code, result.GetStateLost(), result)
		}
		s.usable(c.code)
	}
	res, err := s.python.Interrupt(s.Context(), &sandgatev1.InterruptRequest{})
	s.must(err)
	if res.GetInterrupted() {
		s.Error("an idle context was interrupted")
	}
}

// pythonInterruptStorm interrupts around the ends of short cells: each either ends by it or is
// whole, and none of the checks in between is ever hit.
func (s *subject) pythonInterruptStorm() {
	stop := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = s.python.Interrupt(s.Context(), &sandgatev1.InterruptRequest{ContextId: "default"})
			}
		}
	})
	for i := range 100 {
		run := s.py(fmt.Sprintf("x = %d\nfor _ in range(1000): pass\nx", i))
		switch run.result.GetStatus() {
		case sandgatev1.Status_STATUS_OK, sandgatev1.Status_STATUS_INTERRUPTED:
		default:
			s.Fatalf("cell %d: %v", i, run)
		}
		if run.result.GetStateLost() {
			s.Fatalf("cell %d lost the state: %v", i, run)
		}
	}
	close(stop)
	storm.Wait()
	for range 20 {
		s.answers("a storm of interrupts")
	}
	s.usable("a storm of interrupts")
}

func (s *subject) pythonTimeout() {
	s.py("kept = 7")
	run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{
		Code: `import subprocess, time
print(subprocess.run(["bash", "-c", "` + strings.ReplaceAll(daemonise, `"`, `\"`) + `"], capture_output=True, text=True).stdout, flush=True)
time.sleep(300)`,
		Timeout: durationpb.New(time.Second),
	})
	s.must(err)
	s.wantStatus(run.result.GetStatus(), sandgatev1.Status_STATUS_TIMEOUT, run)
	if pid := strings.TrimSpace(run.stdout); pid == "" || s.running(pid) {
		s.Errorf("the daemon %q outlived the cell", pid)
	}
	if run := s.py("kept"); run.value() != "7" {
		s.Errorf("the state is gone: %v", run)
	}
	ctx, cancel := context.WithTimeout(s.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err = s.runCell(ctx, &sandgatev1.RunRequest{Code: "import time; time.sleep(300)"}); err == nil {
		s.Error("no error for a caller who left")
	}
	if run := s.py("kept"); run.value() != "7" {
		s.Errorf("after a caller left: %v", run)
	}
	_, err = s.runCell(s.Context(), &sandgatev1.RunRequest{Code: "1", ContextId: "nobody"})
	s.wantCode(err, connect.CodeNotFound)
}

func (s *subject) pythonContexts() {
	ctx := s.Context()
	_, err := s.python.CreateContext(ctx, &sandgatev1.CreateContextRequest{ContextId: "second", Cwd: "/tmp"})
	s.must(err)
	_, err = s.python.CreateContext(ctx, &sandgatev1.CreateContextRequest{ContextId: "second"})
	s.wantCode(err, connect.CodeAlreadyExists)
	s.py("who = 'first'")
	run, err := s.runCell(ctx, &sandgatev1.RunRequest{ContextId: "second", Code: "import os, random; print('who' in globals(), os.getcwd()); random.random()"})
	s.must(err)
	if run.stdout != "False /tmp\n" {
		s.Errorf("%v", run)
	}
	list, err := s.python.ListContexts(ctx, &sandgatev1.ListContextsRequest{})
	s.must(err)
	if n := len(list.GetContexts()); n != 2 || list.GetContexts()[0].GetId() != "default" || list.GetContexts()[1].GetExecutionCount() != 1 {
		s.Errorf("%v", list)
	}
	_, err = s.python.RestartContext(ctx, &sandgatev1.RestartContextRequest{})
	s.must(err)
	if run := s.py("'who' in globals()"); run.value() != "False" || run.result.GetExecutionCount() != 1 {
		s.Errorf("after a restart: %v", run)
	}
	_, err = s.python.DeleteContext(ctx, &sandgatev1.DeleteContextRequest{ContextId: "second"})
	s.must(err)
	_, err = s.runCell(ctx, &sandgatev1.RunRequest{ContextId: "second", Code: "1"})
	s.wantCode(err, connect.CodeNotFound)
	_, err = s.python.DeleteContext(ctx, &sandgatev1.DeleteContextRequest{})
	s.must(err)
	s.usable("the default context was deleted")
}

func (s *subject) pythonOutput() {
	run := s.py("import sys\nfor i in range(100): print(i)\nsys.stderr.write('e'*10)\nsys.stdout.buffer.write(b'\\xff\\x00\\n'); None")
	if !strings.HasPrefix(run.stdout, "0\n1\n") || !strings.HasSuffix(run.stdout, "99\n\xff\x00\n") || run.stderr != strings.Repeat("e", 10) {
		s.Errorf("%v", run)
	}
	big, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: "import os\nfor _ in range(200): os.write(1, b'y'*65536)", MaxOutputBytes: 4096})
	s.must(err)
	out := big.result.GetStdout()
	if len(big.stdout) != 4096 || out.GetTotalBytes() != 200*65536 || out.GetFileBytes() != 200*65536 {
		s.Errorf("%d inline, %v", len(big.stdout), out)
	}
	if got := s.sh("tr -d y < " + out.GetFile() + " | wc -c").stdout; got != "0\n" {
		s.Errorf("the file: %q", got)
	}
	some := s.py("print('z' * 40000)")
	if sum := some.result.GetStdout(); len(some.stdout) != 40001 || sum.GetDroppedBytes() != 0 || sum.GetFileBytes() != 40001 {
		s.Errorf("%d inline, %v", len(some.stdout), sum)
	}
	if little := s.py("print('z' * 20000)").result.GetStdout(); little.GetFile() != "" || little.GetFileBytes() != 0 {
		s.Errorf("a file for little: %v", little)
	}
	s.sh("rm -rf ~/.sandgate")
	s.py("import threading, time\ndef late():\n    time.sleep(0.3)\n    print('from a late thread')\nthreading.Thread(target=late).start()")
	during := s.py("time.sleep(0.8)\nprint('mine')")
	if during.stdout != "mine\n" {
		s.Errorf("late output was credited to the next cell: %v", during)
	}
	if late := string(during.result.GetLateOutput()) + string(s.py("1").result.GetLateOutput()); !strings.Contains(late, "from a late thread") {
		s.Errorf("late output is lost: %q", late)
	}
}

func (s *subject) pythonHostile() {
	for _, code := range []string{
		"import builtins\nbuiltins.print = None\nbuiltins.len = None",
		"import os, json, sys\nos.write = None\njson.dumps = None\nsys.stdout = None\nsys.stdout = 1",
		"import os\nfor fd in range(3, 1024):\n    try: os.write(fd, b'.{\"op\":\"done\",\"cell\":1,\"status\":\"ok\",\"count\":1}')\n    except OSError: pass",
		"import os\nfor fd in range(3, 1024):\n    try: os.write(fd, os.urandom(999))\n    except OSError: pass",
		"import os\nfor fd in range(3, 1024):\n    try: os.write(fd, b'.{\"op\":\"display\",\"cell\":%d,\"data\":{\"application/json\":' % 7 + b'['*6000 + b']'*6000 + b'}}')\n    except OSError: pass",
		"import os; os.closerange(3, 4096)",
		"import sys; sys.modules.clear()",
		"import os\nos.fork()",
		"import gc\nfor o in gc.get_objects():\n    try: o.clear()\n    except Exception: pass",
		"import signal, os\nos.kill(1, 9); os.kill(1, 15); os.kill(os.getppid(), 9)",
		"import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()",
		"class B:\n    def __repr__(self): raise SystemError('no')\nB()",
		"class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
		"raise Exception('x' * 10**8)",
		"'\\ud800'",
		"import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
		"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))",
		"import atexit, time; atexit.register(time.sleep, 99)\nimport os; os.kill(os.getpid(), 15)",
	} {
		run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: code, Timeout: durationpb.New(20 * time.Second)})
		if err != nil || run.result == nil || run.result.GetStatus() == sandgatev1.Status_STATUS_UNSPECIFIED {
			s.Errorf("%.80q: %v, %v", code, run, err)
		}
		s.answers(code) // what the code did to its own interpreter is its own
		s.works(code)
	}
	_, err := s.python.RestartContext(s.Context(), &sandgatev1.RestartContextRequest{})
	s.must(err)
	s.usable("all of that")
}

func (s *subject) pythonDisplays() {
	run := s.py(`import pandas as pd, matplotlib.pyplot as plt
df = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
plt.plot([1, 2, 3], [4, 5, 6], label="l"); plt.title("t")
df`)
	if run.result.GetStatus() != sandgatev1.Status_STATUS_OK {
		s.Fatalf("%v", run)
	}
	var png, table, chart bool
	for _, d := range run.displays {
		png = png || strings.HasPrefix(string(d.GetPng()), "\x89PNG")
		table = table || (d.GetTable().GetTotalRows() == 2 && len(d.GetTable().GetColumns()) == 2 && strings.Contains(d.GetHtml(), "<table"))
		chart = chart || (len(d.GetChart().GetAxes()) == 1 && d.GetChart().GetAxes()[0].GetType() == "line")
	}
	if !png || !table || !chart {
		s.Errorf("png %v, table %v, chart %v: %v", png, table, chart, run.displays)
	}
	if run := s.py("!echo from the shell"); !strings.Contains(run.stdout, "from the shell") {
		s.Errorf("IPython syntax: %v", run)
	}
}
