package sandboxtest

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// processes returns how many processes there are, zombies and those that count among them.
func (s *subject) processes() int {
	s.Helper()
	run := s.sh("set -- /proc/[0-9]*; echo $#") // starts nothing but the shell itself
	count, err := strconv.Atoi(strings.TrimSpace(run.stdout))
	if err != nil {
		s.Fatalf("the count of processes: %+v", run)
	}
	return count
}

// limitZombies leaves children that have ended and that nobody waits for: they count against the
// limit. The session must stay usable without anybody's help, and who waits must find what he waits for.
func (s *subject) limitZombies() {
	before := s.processes()
	s.py("import subprocess; kept = subprocess.Popen(['sh', '-c', 'exit 3'])")
	run := s.survives("children that nobody waits for", `
import os
try:
    while True:
        if os.fork() == 0: os._exit(0)
except OSError: pass`, sandgatev1.Status_STATUS_OK)
	if run.result.GetStateLost() || !strings.Contains(run.result.GetNote(), "child processes had ended") {
		s.Errorf("children that nobody waits for: %v", run)
	}
	if after := s.processes(); after > before {
		s.Errorf("%d processes, %d before", after, before)
	}
	if run := s.py("kept.wait()"); run.value() != "3" {
		s.Errorf("an exit code that somebody waits for is lost: %v", run)
	}
	for i := range 40 {
		if run := s.py("for _ in range(8):\n    if os.fork() == 0: os._exit(0)"); run.result.GetStatus() != sandgatev1.Status_STATUS_OK {
			s.Fatalf("children of short cells, cell %d: %v", i, run)
		}
	}
	s.usable("children of short cells")
	ended, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Timeout: durationpb.New(time.Second), Code: `
import time
few = [subprocess.Popen(["sh", "-c", "exit 4"]), subprocess.Popen(["sleep", "300"])]
time.sleep(300)`})
	s.must(err)
	s.wantStatus(ended.result.GetStatus(), sandgatev1.Status_STATUS_TIMEOUT, ended)
	if run := s.py("[p.wait() for p in few]"); run.value() != "[4, -9]" {
		s.Errorf("exit codes after a call that was ended: %v", run)
	}
	run = s.py(`
import os, sys
sys.modules["sandgate_kernel.children"].reap = lambda: None
for _ in range(150):
    if os.fork() == 0: os._exit(0)`)
	if !run.result.GetStateLost() || run.result.GetStatus() != sandgatev1.Status_STATUS_OK {
		s.Errorf("a kernel that does not wait for its children: %v", run)
	}
	s.usable("a kernel that does not wait for its children")
	s.eventually("processes are left", func() bool { return s.processes() <= before })
}
