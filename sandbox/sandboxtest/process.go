package sandboxtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// follow collects a program's events until it ends, or until stop says so.
func (s *subject) follow(next func() (*sandgatev1.ProcessEvent, bool), stop func(stdout []byte) bool) (id string, stdout, stderr []byte, result *sandgatev1.ProcessResult) {
	s.Helper()
	for {
		event, ok := next()
		if !ok {
			return id, stdout, stderr, nil
		}
		switch event := event.GetEvent().(type) {
		case *sandgatev1.ProcessEvent_Started:
			id = event.Started.GetProcessId()
		case *sandgatev1.ProcessEvent_Stdout:
			stdout = append(stdout, event.Stdout.GetData()...)
		case *sandgatev1.ProcessEvent_Stderr:
			stderr = append(stderr, event.Stderr.GetData()...)
		case *sandgatev1.ProcessEvent_Ended:
			return id, stdout, stderr, event.Ended
		}
		if stop != nil && stop(stdout) {
			return id, stdout, stderr, nil
		}
	}
}

func (s *subject) start(ctx context.Context, req *sandgatev1.StartRequest) func() (*sandgatev1.ProcessEvent, bool) {
	s.Helper()
	stream, err := s.process.Start(ctx, req)
	s.must(err)
	s.Cleanup(func() { _ = stream.Close() })
	return func() (*sandgatev1.ProcessEvent, bool) {
		if !stream.Receive() {
			return nil, false
		}
		return stream.Msg().GetEvent(), true
	}
}

func (s *subject) connect(req *sandgatev1.ConnectRequest) func() (*sandgatev1.ProcessEvent, bool) {
	s.Helper()
	stream, err := s.process.Connect(s.Context(), req)
	s.must(err)
	s.Cleanup(func() { _ = stream.Close() })
	return func() (*sandgatev1.ProcessEvent, bool) {
		if !stream.Receive() {
			return nil, false
		}
		return stream.Msg().GetEvent(), true
	}
}

func (s *subject) processResume() {
	ctx, leave := context.WithCancel(s.Context())
	defer leave()
	const script = `for i in $(seq 1 200); do echo line $i; sleep 0.002; done; echo end >&2; exit 7`
	id, head, _, _ := s.follow(s.start(ctx, &sandgatev1.StartRequest{Command: "bash", Args: []string{"-c", script}}),
		func(stdout []byte) bool { return len(stdout) > 50 })
	leave()
	_, tail, stderr, result := s.follow(s.connect(&sandgatev1.ConnectRequest{ProcessId: id, StdoutOffset: int64(len(head))}), nil)
	var want bytes.Buffer
	for i := range 200 {
		fmt.Fprintf(&want, "line %d\n", i+1)
	}
	if got := string(head) + string(tail); got != want.String() {
		s.Errorf("%d and %d bytes do not make the output of %d", len(head), len(tail), want.Len())
	}
	if string(stderr) != "end\n" || result.GetExitCode() != 7 {
		s.Errorf("stderr %q, result %v", stderr, result)
	}
	_, again, _, late := s.follow(s.connect(&sandgatev1.ConnectRequest{ProcessId: id}), nil)
	if !bytes.Equal(again, want.Bytes()) || late.GetExitCode() != 7 {
		s.Errorf("an ended program tells %d bytes and %v", len(again), late)
	}
	stream, err := s.process.Connect(s.Context(), &sandgatev1.ConnectRequest{ProcessId: "prc_none"})
	s.must(err)
	for stream.Receive() {
	}
	s.wantCode(stream.Err(), connect.CodeNotFound)
	_ = stream.Close()
}

func (s *subject) processStdin() {
	next := s.start(s.Context(), &sandgatev1.StartRequest{Command: "cat", Stdin: true})
	id, _, _, _ := s.follow(next, func([]byte) bool { return true })
	data := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	done := make(chan error, 1)
	go func() {
		_, err := s.process.SendInput(s.Context(), &sandgatev1.SendInputRequest{ProcessId: id, Data: data})
		if err == nil {
			_, err = s.process.CloseStdin(s.Context(), &sandgatev1.CloseStdinRequest{ProcessId: id})
		}
		done <- err
	}()
	_, stdout, _, result := s.follow(next, nil)
	s.closeWhileFull()
	s.must(<-done)
	if !bytes.Equal(stdout, data) || result.GetStatus() != sandgatev1.Status_STATUS_OK {
		s.Errorf("%d bytes came back, %v", len(stdout), result)
	}
	_, err := s.process.SendInput(s.Context(), &sandgatev1.SendInputRequest{ProcessId: id, Data: data})
	s.wantCode(err, connect.CodeFailedPrecondition)
}

func (s *subject) processTerminal() {
	next := s.start(s.Context(), &sandgatev1.StartRequest{
		Command: "bash", Args: []string{"--norc"}, Terminal: &sandgatev1.TerminalSize{Cols: 101, Rows: 33},
		Env: map[string]string{"PS1": "$ ", "TERM": "dumb"},
	})
	id, _, _, _ := s.follow(next, func(stdout []byte) bool { return bytes.Contains(stdout, []byte("$ ")) })
	send := func(text string) {
		_, err := s.process.SendInput(s.Context(), &sandgatev1.SendInputRequest{ProcessId: id, Data: []byte(text)})
		s.must(err)
	}
	send("tty && stty size\n")
	s.follow(next, func(stdout []byte) bool { return bytes.Contains(stdout, []byte("33 101")) })
	_, err := s.process.Resize(s.Context(), &sandgatev1.ResizeRequest{ProcessId: id, Size: &sandgatev1.TerminalSize{Cols: 70, Rows: 20}})
	s.must(err)
	send("stty size\n")
	s.follow(next, func(stdout []byte) bool { return bytes.Contains(stdout, []byte("20 70")) })
	send("sleep 500\n")
	time.Sleep(100 * time.Millisecond) //nolint:forbidigo // nothing tells when a program reads its terminal
	send("\x03")
	send("exit 5\n")
	if _, _, _, result := s.follow(next, nil); result.GetExitCode() != 5 {
		s.Errorf("%v", result)
	}
}

func (s *subject) processSignal() {
	next := s.start(s.Context(), &sandgatev1.StartRequest{Command: "bash", Args: []string{"-c", daemonise + "; sleep 300"}})
	var pid string
	id, _, _, _ := s.follow(next, func(stdout []byte) bool {
		pid = strings.TrimSpace(string(stdout))
		return pid != ""
	})
	list, err := s.process.ListProcesses(s.Context(), &sandgatev1.ListProcessesRequest{})
	s.must(err)
	found := false
	for _, p := range list.GetProcesses() {
		found = found || (p.GetProcessId() == id && p.GetResult() == nil)
	}
	if !found {
		s.Errorf("%s is not listed as running", id)
	}
	_, err = s.process.SendSignal(s.Context(), &sandgatev1.SendSignalRequest{ProcessId: id, Signal: sandgatev1.Signal_SIGNAL_KILL})
	s.must(err)
	_, _, _, result := s.follow(next, nil)
	if result.GetSignal() != "SIGKILL" || s.running(pid) {
		s.Errorf("%v, daemon running: %v", result, s.running(pid))
	}
	_, err = s.process.SendSignal(s.Context(), &sandgatev1.SendSignalRequest{ProcessId: id})
	s.wantCode(err, connect.CodeFailedPrecondition)
}

// closeWhileFull closes the stdin of a program that does not read, while somebody waits to write.
func (s *subject) closeWhileFull() {
	id, _, _, _ := s.follow(s.start(s.Context(), &sandgatev1.StartRequest{Command: "sleep", Args: []string{"300"}, Stdin: true}),
		func([]byte) bool { return true })
	blocked := make(chan error, 1)
	go func() {
		_, err := s.process.SendInput(s.Context(), &sandgatev1.SendInputRequest{ProcessId: id, Data: make([]byte, 1<<20)})
		blocked <- err
	}()
	time.Sleep(100 * time.Millisecond) //nolint:forbidigo // nothing tells when a pipe is full
	_, err := s.process.CloseStdin(s.Context(), &sandgatev1.CloseStdinRequest{ProcessId: id})
	s.must(err)
	s.wantCode(<-blocked, connect.CodeFailedPrecondition)
	_, err = s.process.SendSignal(s.Context(), &sandgatev1.SendSignalRequest{ProcessId: id, Signal: sandgatev1.Signal_SIGNAL_KILL})
	s.must(err)
}
