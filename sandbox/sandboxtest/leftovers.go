package sandboxtest

import (
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// What a cell leaves behind: threads, processes made without Python's knowledge, a damaged interpreter, and
// more files than there may be.

// pythonThreads ends cells whose threads would go on.
func (s *subject) pythonThreads() {
	const beats = `
import threading, time
def beat():
    while True:
        open("beat", "a").write("x")
        time.sleep(.02)
threading.Thread(target=beat, daemon=True).start()
`
	still := func(what string) {
		s.Helper()
		if run := s.sh("a=$(wc -c < beat); sleep .3; echo $(($(wc -c < beat) - a)); rm beat"); run.stdout != "0\n" {
			s.Errorf("%s: its thread goes on: %q", what, run.stdout)
		}
		s.usable(what)
	}
	for what, code := range map[string]string{
		"a thread":                   beats + "time.sleep(100)",
		"a thread, and it goes on":   beats + "try: time.sleep(100)\nexcept KeyboardInterrupt: pass",
		"a thread not known to them": strings.Replace(beats, "threading.Thread(target=beat, daemon=True).start()", "import _thread; _thread.start_new_thread(beat, ())", 1) + "time.sleep(100)",
	} {
		run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: code, Timeout: durationpb.New(time.Second)})
		s.must(err)
		if r := run.result; !r.GetStateLost() || !strings.Contains(r.GetNote(), "Threads") {
			s.Errorf("%s: %v", what, r)
		}
		still(what)
	}
	s.py("kept = 1")
	run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: "import time; time.sleep(100)", Timeout: durationpb.New(time.Second)})
	s.must(err)
	if run.result.GetStateLost() || s.py("kept").value() != "1" {
		s.Errorf("without threads: %v", run.result)
	}
}

// pythonSplit forks the kernel by C, behind Python's back: one of the two goes on.
func (s *subject) pythonSplit() {
	s.py("mine = 'parent'")
	s.py("import ctypes\nif getattr(ctypes.CDLL(None), 'fo' + 'rk')() == 0: mine = 'child'")
	for range 6 {
		if run := s.py("mine"); run.value() != "'parent'" {
			s.Fatalf("%v", run)
		}
	}
}

// pythonDamaged takes from the interpreter what the next cell needs.
func (s *subject) pythonDamaged() {
	for _, code := range []string{
		"import sys; sys.displayhook = None", "import sys; del sys.displayhook",
		"import builtins; builtins.__dict__.clear()", "import builtins; del builtins.print, builtins.__import__",
	} {
		s.py(code)
		if run := s.py("import json; print(len('two')); 6 * 7"); run.stdout != "3\n" || run.value() != "42" {
			s.Errorf("after %q: %v", code, run)
		}
	}
}

// limitFilesByCalls makes more files than there may be by calls that are not the user's programs.
func (s *subject) limitFilesByCalls() {
	limit := s.suite.Spec.Limits.WithDefaults().WorkspaceFiles
	s.sh("mkdir -p hundreds; cd hundreds; for i in $(seq 1 900); do : > $i; done")
	s.py("kept = 1")
	var err error
	copies := 0
	for ; err == nil && copies < int(limit); copies++ {
		_, err = s.file.Copy(s.Context(), &sandgatev1.CopyRequest{Source: "hundreds", Destination: fmt.Sprintf("copies/%d", copies)})
	}
	s.wantCode(err, connect.CodeResourceExhausted)
	if run := s.sh("find . | wc -l"); len(strings.TrimSpace(run.stdout)) > len(fmt.Sprint(limit)) {
		s.Errorf("%s files, %d are allowed", run.stdout, limit)
	}
	for err = nil; err == nil; copies++ { // to the last one
		_, err = s.file.Write(s.Context(), &sandgatev1.WriteRequest{Path: fmt.Sprintf("one/%d", copies)})
	}
	s.wantCode(err, connect.CodeResourceExhausted)
	if run := s.py("print('x' * 100_000); kept"); run.value() != "1" || run.result.GetStateLost() {
		s.Errorf("a cell that makes no file, in a full workspace: %v", run.result)
	}
	s.sh("rm -rf hundreds copies one")
	_, err = s.file.Write(s.Context(), &sandgatev1.WriteRequest{Path: "again"})
	s.must(err)
}
