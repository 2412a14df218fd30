package sandboxtest

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

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
