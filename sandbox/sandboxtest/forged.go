package sandboxtest

import (
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// forge defines what writes to the socket by which a kernel reports.
const forge = `
import json, os
def forge(flag=b".", **fields):
    message = {"op": "done", "status": "ok", "count": 1, "result": {"text/plain": "FORGED"}, **fields}
    os.write(240, flag + json.dumps(message).encode())
def for_many():
    for n in range(1, 200): forge(cell=n, key=n)
`

// pythonForged speaks in the kernel's place. A cell may lie about itself. It must not speak for a later
// one, nor keep one from its limits.
func (s *subject) pythonForged() {
	within := func(limit time.Duration, code string) cellRun {
		run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: code, Timeout: durationpb.New(limit)})
		s.must(err)
		return run
	}
	for name, code := range map[string]string{
		"results of cells to come":              forge + "for_many()\nimport time; time.sleep(300)",
		"half a message that the end is put to": forge + "forge(b'+')",
		"what is no message":                    forge + "os.write(240, b'?')",
	} {
		run := within(30*time.Second, code)
		s.wantStatus(run.result.GetStatus(), sandgatev1.Status_STATUS_KILLED, run)
		if !run.result.GetStateLost() || !strings.Contains(run.result.GetNote(), "by the socket") {
			s.Errorf("%s: %v", name, run)
		}
		run = within(time.Second, "while True: pass")
		s.wantStatus(run.result.GetStatus(), sandgatev1.Status_STATUS_TIMEOUT, run)
		s.usable(name)
	}
	s.py(forge + "import threading; threading.Timer(0.3, for_many).start()")
	time.Sleep(time.Second) //nolint:forbidigo // nothing tells when the thread has written
	run := s.py("'real'")
	if run.value() != "'real'" || !run.result.GetStateLost() || !strings.Contains(run.result.GetNote(), "by the socket") {
		s.Errorf("after results were forged while no cell ran: %v", run)
	}
	run = s.py(forge + `
import sys
frame = sys._getframe()
while not hasattr(frame.f_locals.get("run"), "key"): frame = frame.f_back
forge(key=frame.f_locals["run"].key)
while True: pass`)
	if run.value() != "'FORGED'" && run.value() != "FORGED" {
		s.Errorf("a cell that reads its own key: %v", run)
	}
	run = within(time.Second, "'real'")
	s.wantStatus(run.result.GetStatus(), sandgatev1.Status_STATUS_TIMEOUT, run)
	if !run.result.GetStateLost() {
		s.Errorf("a cell behind one that claims to be done: %v", run)
	}
	s.usable("a cell that claimed to be done")
}

// pythonNowhere takes the working directory away from kernels.
func (s *subject) pythonNowhere() {
	s.sh("mkdir ~/gone")
	_, err := s.python.CreateContext(s.Context(), &sandgatev1.CreateContextRequest{ContextId: "nowhere", Cwd: "gone"})
	s.must(err)
	s.sh("rmdir ~/gone")
	_, err = s.python.RestartContext(s.Context(), &sandgatev1.RestartContextRequest{ContextId: "nowhere"})
	s.must(err)
	where := "import os; os.getcwd()"
	if run := s.in("nowhere", where); run.value() != "'/home/user'" || !strings.Contains(run.result.GetNote(), `"/home/user/gone" cannot be entered`) {
		s.Errorf("a directory that is gone: %v", run)
	}
	if run := s.in("nowhere", where); run.result.GetNote() != "" {
		s.Errorf("said twice: %v", run)
	}
	_, err = s.python.DeleteContext(s.Context(), &sandgatev1.DeleteContextRequest{ContextId: "nowhere"})
	s.must(err)
	s.py("import os; os.chmod('/home/user', 0); os._exit(0)")
	s.answers("a home that nobody may enter")
	s.py("import os; os.chmod('/home/user', 0o755); os.chdir('/home/user')")
	_, err = s.python.RestartContext(s.Context(), &sandgatev1.RestartContextRequest{})
	s.must(err)
	if run := s.py(where); run.value() != "'/home/user'" || run.result.GetNote() != "" {
		s.Errorf("a home that can be entered again: %v", run)
	}
	s.usable("a home that nobody could enter")
}

// pythonTexts gives calls what the system cannot take. They are refused, and cost no state.
func (s *subject) pythonTexts() {
	s.py("kept = 7")
	for _, env := range []map[string]string{{"A": "b\x00c"}, {"A\x00": "b"}, {"A=B": "c"}, {"": "b"}} {
		_, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: "1", Env: env})
		s.wantCode(err, connect.CodeInvalidArgument)
		_, err = s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: "true", Env: env})
		s.wantCode(err, connect.CodeInvalidArgument)
	}
	_, err := s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: "echo a\x00b"})
	s.wantCode(err, connect.CodeInvalidArgument)
	_, err = s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: "true", Cwd: "a\x00b"})
	s.wantCode(err, connect.CodeInvalidArgument)
	if run := s.py("kept"); run.value() != "7" {
		s.Errorf("%v", run)
	}
}
