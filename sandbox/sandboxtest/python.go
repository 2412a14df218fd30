package sandboxtest

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

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
