package sandboxtest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// shellRun is what a command of Shell did.
type shellRun struct {
	stdout, stderr string
	result         *sandgatev1.ProcessResult
}

func (s *subject) runShell(ctx context.Context, req *sandgatev1.ShellRequest) (shellRun, error) {
	var run shellRun
	stream, err := s.process.Shell(ctx, req)
	if err != nil {
		return run, err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		switch event := stream.Msg().GetEvent().(type) {
		case *sandgatev1.ShellResponse_Stdout:
			run.stdout += string(event.Stdout.GetData())
		case *sandgatev1.ShellResponse_Stderr:
			run.stderr += string(event.Stderr.GetData())
		case *sandgatev1.ShellResponse_Result:
			run.result = event.Result
		}
	}
	return run, stream.Err()
}

// sh runs a command that must be able to run.
func (s *subject) sh(command string) shellRun {
	s.Helper()
	run, err := s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: command})
	if err != nil {
		s.Fatalf("%s: %v", command, err)
	}
	return run
}

func (s *subject) shell() {
	run := s.sh("echo out; echo err >&2; exit 3")
	if run.stdout != "out\n" || run.stderr != "err\n" || run.result.GetExitCode() != 3 {
		s.Errorf("%+v", run)
	}
	s.wantStatus(run.result.GetStatus(), sandgatev1.Status_STATUS_ERROR, run)
	run, err := s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: "echo $X; pwd; cat", Env: map[string]string{"X": "y z"}, Cwd: "/tmp"})
	s.must(err)
	if run.stdout != "y z\n/tmp\n" {
		s.Errorf("environment, directory, empty stdin: %q", run.stdout)
	}
	run = s.sh("kill -SEGV $$")
	if run.result.GetSignal() != "SIGSEGV" || run.result.GetExitCode() != 139 {
		s.Errorf("%+v", run.result)
	}
	run = s.sh("sleep 300 & echo started")
	if run.stdout != "started\n" {
		s.Errorf("a background process held the call: %+v", run)
	}
	_, err = s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: "true", Cwd: "/nowhere"})
	s.wantCode(err, connect.CodeInvalidArgument)
	if r := run.result.GetReceipt(); r.GetWall().AsDuration() <= 0 || r.GetBytesOut() != 8 {
		s.Errorf("receipt %v", r)
	}
}

// daemonise starts a process that has left its parent, session and group, and prints its pid.
const daemonise = `setsid bash -c 'setsid sleep 4321 >/dev/null 2>&1 & echo $!'`

func (s *subject) running(pid string) bool {
	s.Helper()
	run := s.sh(fmt.Sprintf("kill -0 %s 2>/dev/null && ! grep -q '^State:.Z' /proc/%s/status", pid, pid))
	return run.result.GetExitCode() == 0
}

func (s *subject) shellTimeout() {
	run, err := s.runShell(s.Context(), &sandgatev1.ShellRequest{
		Command: daemonise + `; trap '' TERM INT; while :; do sleep 1; done`,
		Timeout: durationpb.New(700 * time.Millisecond),
	})
	s.must(err)
	s.wantStatus(run.result.GetStatus(), sandgatev1.Status_STATUS_TIMEOUT, run)
	if pid := strings.TrimSpace(run.stdout); s.running(pid) {
		s.Errorf("the daemon %s outlived the limit", pid)
	}
}

func (s *subject) shellCancel() {
	ctx, cancel := context.WithCancel(s.Context())
	stream, err := s.process.Shell(ctx, &sandgatev1.ShellRequest{Command: daemonise + "; sleep 300"})
	s.must(err)
	if !stream.Receive() {
		s.Fatal(stream.Err())
	}
	pid := strings.TrimSpace(string(stream.Msg().GetStdout().GetData()))
	cancel()
	for stream.Receive() {
	}
	s.wantCode(stream.Err(), connect.CodeCanceled)
	_ = stream.Close()
	s.eventually("the command of a caller who left still runs", func() bool { return !s.running(pid) })
}

// eventually fails the test when a condition does not come to hold.
func (s *subject) eventually(complaint string, holds func() bool) {
	s.Helper()
	for range 200 {
		if holds() {
			return
		}
		time.Sleep(25 * time.Millisecond) //nolint:forbidigo // nothing tells when a process inside has gone
	}
	s.Error(complaint)
}

func (s *subject) shellSpool() {
	run, err := s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: "head -c 3000000 /dev/zero | tr '\\0' x", MaxOutputBytes: 1000})
	s.must(err)
	out := run.result.GetStdout()
	if len(run.stdout) != 1000 || out.GetTotalBytes() != 3_000_000 || out.GetDroppedBytes() != 2_999_000 || out.GetFileBytes() != 3_000_000 {
		s.Fatalf("%d bytes inline, %v", len(run.stdout), out)
	}
	if got := s.sh("tr -d x < " + out.GetFile() + " | wc -c; wc -c < " + out.GetFile()).stdout; got != "0\n3000000\n" {
		s.Errorf("the file holds something else: %q", got)
	}
	s.sh("rm -r ~/.sandgate")
}
