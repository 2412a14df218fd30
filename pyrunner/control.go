package pyrunner

import (
	"context"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// ListProcesses returns the programs that Start made.
func (p *Process) ListProcesses(ctx context.Context, req *sandgatev1.ListProcessesRequest) (*sandgatev1.ListProcessesResponse, error) {
	res, err := unary(ctx, p.sandboxes, req, p.guest.ListProcesses)
	if err != nil {
		return nil, err
	}
	res.Processes = res.GetProcesses()[:min(len(res.GetProcesses()), maxListed)]
	for _, process := range res.GetProcesses() {
		cleanProcess(process)
	}
	return res, nil
}

// SendInput writes to a program's stdin or terminal.
func (p *Process) SendInput(ctx context.Context, req *sandgatev1.SendInputRequest) (*sandgatev1.SendInputResponse, error) {
	return unary(ctx, p.sandboxes, req, p.guest.SendInput)
}

// CloseStdin closes a program's stdin.
func (p *Process) CloseStdin(ctx context.Context, req *sandgatev1.CloseStdinRequest) (*sandgatev1.CloseStdinResponse, error) {
	return unary(ctx, p.sandboxes, req, p.guest.CloseStdin)
}

// SendSignal signals a program and everything that it started.
func (p *Process) SendSignal(ctx context.Context, req *sandgatev1.SendSignalRequest) (*sandgatev1.SendSignalResponse, error) {
	return unary(ctx, p.sandboxes, req, p.guest.SendSignal)
}

// Resize sets the size of a program's terminal.
func (p *Process) Resize(ctx context.Context, req *sandgatev1.ResizeRequest) (*sandgatev1.ResizeResponse, error) {
	return unary(ctx, p.sandboxes, req, p.guest.Resize)
}
