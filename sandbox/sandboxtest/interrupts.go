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
