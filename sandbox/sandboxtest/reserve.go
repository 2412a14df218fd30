package sandboxtest

import (
	"fmt"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// pythonReserve makes more contexts than a sandbox with heavy imports keeps kernels in reserve, one
// right after the other, and ends all of the user's processes between two: whether a kernel comes
// from the reserve or is made, it is fresh, whole, in the place asked for, and nobody else's.
func (s *subject) pythonReserve() {
	suite := s.suite
	suite.Spec.Template = "data"
	s = newSubject(s.T, suite, suite.make(s.T))
	for round := range 2 {
		const many = 7
		for i := range many {
			id := fmt.Sprintf("round-%d-%d", round, i)
			cwd := []string{"", "/tmp"}[i%2]
			_, err := s.python.CreateContext(s.Context(), &sandgatev1.CreateContextRequest{ContextId: id, Cwd: cwd})
			s.must(err)
			want := fmt.Sprintf("False %s True\n", []string{"/home/user", "/tmp"}[i%2])
			run := s.in(id, "import os, sys; print('mine' in globals(), os.getcwd(), 'pandas' in sys.modules); mine = "+fmt.Sprint(i))
			if run.stdout != want || run.result.GetExecutionCount() != 1 || run.result.GetStateLost() {
				s.Errorf("%s: want %q of a first cell: %v", id, want, run)
			}
		}
		for i := range many {
			id := fmt.Sprintf("round-%d-%d", round, i)
			if run := s.in(id, "mine"); run.value() != fmt.Sprint(i) {
				s.Errorf("%s: %v", id, run)
			}
			_, err := s.python.DeleteContext(s.Context(), &sandgatev1.DeleteContextRequest{ContextId: id})
			s.must(err)
		}
		s.py(meddle)
		id := fmt.Sprintf("meddled-%d", round)
		_, err := s.python.CreateContext(s.Context(), &sandgatev1.CreateContextRequest{ContextId: id})
		s.must(err)
		if run := s.in(id, "import os, resource; open('/dev/null').fileno() > 0, resource.getrlimit(7)[0] > 100, os.getpriority(0, 0)"); run.value() != "(True, True, 5)" {
			s.Errorf("a kernel that was meddled with: %v", run)
		}
		run := s.py("import os, signal, time; time.sleep(0.3); os.kill(-1, signal.SIGKILL)")
		if run.result.GetStatus() == sandgatev1.Status_STATUS_UNSPECIFIED {
			s.Errorf("%v", run)
		}
	}
	s.usable("everything was killed twice")
	s.survives("a fork bomb with numpy in memory", `
import os
while True:
    try: os.fork()
    except OSError: pass`, sandgatev1.Status_STATUS_TIMEOUT, sandgatev1.Status_STATUS_MEMORY)
}

// meddle does to every other process what a user may do to his own: limits, priorities, stops.
const meddle = `
import os, resource, signal, time
time.sleep(0.3)
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    if pid == os.getpid(): continue
    for do in (
        lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (5, 5)),
        lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
        lambda: os.kill(pid, signal.SIGSTOP),
    ):
        try: do()
        except OSError: pass`

// in runs a cell in a context.
func (s *subject) in(contextID, code string) cellRun {
	s.Helper()
	run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{ContextId: contextID, Code: code})
	s.must(err)
	return run
}
