package guest

import (
	"context"
	"os"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// endOfTransmission is what ends the input of a terminal: Ctrl-D.
const endOfTransmission = 4

// SendInput writes to a program's stdin or terminal.
func (s *processService) SendInput(ctx context.Context, req *sandgatev1.SendInputRequest) (*sandgatev1.SendInputResponse, error) {
	p, err := s.find(req.GetProcessId())
	if err != nil {
		return nil, err
	}
	if err := p.input(ctx, req.GetData()); err != nil {
		return nil, err
	}
	return &sandgatev1.SendInputResponse{}, nil
}

// input writes data, one caller after another. It stops, even in the middle, when ctx ends or the
// program has not read it within the limit.
func (p *program) input(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, inputLimit)
	defer cancel()
	select {
	case p.writing <- struct{}{}:
		defer func() { <-p.writing }()
	case <-ctx.Done():
		return inputError(p.id, os.ErrDeadlineExceeded)
	}
	stdin := p.openStdin()
	if stdin == nil {
		return inputError(p.id, os.ErrClosed)
	}
	_ = stdin.SetWriteDeadline(time.Time{})
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = stdin.SetWriteDeadline(time.Unix(1, 0))
		close(late)
	})
	n, err := stdin.Write(data)
	if !stop() {
		<-late // the deadline must not hit the next caller
	}
	p.bytesIn.Add(int64(n))
	if err != nil {
		return inputError(p.id, err)
	}
	return nil
}

func (p *program) openStdin() *os.File {
	p.stdinMu.Lock()
	defer p.stdinMu.Unlock()
	return p.stdin
}

// closeStdin ends the input, and a write that waits for the program to read.
func (p *program) closeStdin() {
	p.stdinMu.Lock()
	stdin := p.stdin
	p.stdin = nil
	p.stdinMu.Unlock()
	closeAll(stdin)
}

// CloseStdin ends a program's input.
func (s *processService) CloseStdin(ctx context.Context, req *sandgatev1.CloseStdinRequest) (*sandgatev1.CloseStdinResponse, error) {
	p, err := s.find(req.GetProcessId())
	if err != nil {
		return nil, err
	}
	if p.request.GetTerminal() != nil {
		return &sandgatev1.CloseStdinResponse{}, p.input(ctx, []byte{endOfTransmission})
	}
	p.closeStdin()
	return &sandgatev1.CloseStdinResponse{}, nil
}

// SendSignal signals a program and what it started.
func (s *processService) SendSignal(_ context.Context, req *sandgatev1.SendSignalRequest) (*sandgatev1.SendSignalResponse, error) {
	p, err := s.find(req.GetProcessId())
	if err != nil {
		return nil, err
	}
	select {
	case <-p.ended:
		return nil, fail(connect.CodeFailedPrecondition, "PROCESS_ENDED", "nothing is left to signal",
			"process %q has ended", req.GetProcessId())
	default:
	}
	sig := unix.Signal(req.GetSignal())
	if sig == 0 {
		sig = unix.SIGTERM
	}
	if sig == unix.SIGKILL {
		p.marker.end(nil)
		return &sandgatev1.SendSignalResponse{}, nil
	}
	if err := p.marker.signal(sig); err != nil {
		return nil, fail(connect.CodeInternal, "SIGNAL_FAILED", "try SIGKILL", "signal %q: %v", req.GetProcessId(), err)
	}
	return &sandgatev1.SendSignalResponse{}, nil
}

// Resize sets the size of a program's terminal.
func (s *processService) Resize(_ context.Context, req *sandgatev1.ResizeRequest) (*sandgatev1.ResizeResponse, error) {
	p, err := s.find(req.GetProcessId())
	if err != nil {
		return nil, err
	}
	stdin := p.openStdin()
	if p.request.GetTerminal() == nil || stdin == nil {
		return nil, fail(connect.CodeFailedPrecondition, "NO_TERMINAL", "start it with a terminal",
			"process %q has no terminal", req.GetProcessId())
	}
	if err := resize(stdin, req.GetSize()); err != nil {
		return nil, fail(connect.CodeFailedPrecondition, "NO_TERMINAL", "the program may have ended", "resize: %v", err)
	}
	return &sandgatev1.ResizeResponse{}, nil
}
