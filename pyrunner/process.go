package pyrunner

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// defaultShellTimeout is how long a command may run when its request does not say.
	defaultShellTimeout = 60 * time.Second
	// killedExitCode is 128 plus SIGKILL, as a shell would report it.
	killedExitCode = 137
)

// Process is the host's side of ProcessService. Its methods may be called by any number of
// goroutines; their errors are *connect.Errors. Requests must have passed validation.
type Process struct {
	sandboxes guestrpc.Sandboxes
	guest     sandgatev1connect.ProcessServiceClient
}

// NewProcess returns a Process that finds its sandboxes in sandboxes.
func NewProcess(sandboxes guestrpc.Sandboxes) *Process {
	return &Process{
		sandboxes: sandboxes,
		guest:     sandgatev1connect.NewProcessServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(maxMessageBytes)...),
	}
}

// Shell runs a command to its end and gives send its events, the last one being the result. It ends
// as [Python.Run] does.
func (p *Process) Shell(ctx context.Context, req *sandgatev1.ShellRequest, send func(*sandgatev1.ShellResponse) error) error {
	sb, err := p.sandboxes.Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return err
	}
	if ended(sb) {
		return guestrpc.SessionLost(sb)
	}
	line := &lane{}
	line.allow(timeoutOr(req.GetTimeout(), defaultShellTimeout))
	m := newMeter(ctx, req.GetMaxOutputBytes(), int64(len(req.GetCommand()))+envBytes(req.GetEnv()))
	settled, err := p.relayShell(ctx, runCall{sb, line, m}, req, send)
	if settled {
		return err
	}
	result, ok := givenUp(ctx, sb, m, err)
	if !ok {
		return err
	}
	return send(&sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Result{Result: result}})
}

// relayShell makes the call to the guest. If it is not settled, err is what endingOf takes, or an
// error for the caller.
func (p *Process) relayShell(
	ctx context.Context, rc runCall, req *sandgatev1.ShellRequest, send func(*sandgatev1.ShellResponse) error,
) (settled bool, err error) {
	callCtx, c := guestrpc.Begin(ctx, rc.sandbox, tooLarge)
	defer c.End()
	guard := newBackstop(rc.lane, c.GiveUp)
	defer guard.stop()
	stream, err := p.guest.Shell(callCtx, guestrpc.ForGuest(req))
	if err != nil {
		return false, c.Why(ctx, callCtx, err)
	}
	defer closeStream(stream)
	r := relay[sandgatev1.ShellResponse]{call: c, backstop: guard, send: send}
	r.accept = func(event *sandgatev1.ShellResponse) (verdict, error) {
		return acceptShell(event, rc.meter, rc.sandbox.Spec().Limits.MemoryBytes)
	}
	if settled, err = r.run(stream); settled {
		return true, err
	}
	return false, c.Why(ctx, callCtx, err)
}

// acceptShell mends and counts an event of a command.
func acceptShell(response *sandgatev1.ShellResponse, m *meter, memoryBytes int64) (verdict, error) {
	switch event := response.GetEvent().(type) {
	case *sandgatev1.ShellResponse_Stdout:
		m.stdout.output(event.Stdout)
		return pass, m.count(len(event.Stdout.GetData()))
	case *sandgatev1.ShellResponse_Stderr:
		m.stderr.output(event.Stderr)
		return pass, m.count(len(event.Stderr.GetData()))
	case *sandgatev1.ShellResponse_Result:
		cleanProcessResult(event.Result, m, memoryBytes)
		return last, m.count(0)
	default:
		return skip, m.count(0)
	}
}

// Start starts a program and gives send its events, the first being that it started. The program
// goes on when ctx ends. If its sandbox dies, the last event says that it was killed.
func (p *Process) Start(ctx context.Context, req *sandgatev1.StartRequest, send func(*sandgatev1.StartResponse) error) error {
	sb, err := p.sandboxes.Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return err
	}
	call := func(ctx context.Context) (*connect.ServerStreamForClient[sandgatev1.StartResponse], error) {
		return p.guest.Start(ctx, guestrpc.ForGuest(req))
	}
	wrap := func(event *sandgatev1.ProcessEvent) *sandgatev1.StartResponse {
		return &sandgatev1.StartResponse{Event: event}
	}
	return follow(ctx, sb, call, wrap, send)
}

// Connect gives send the events of a program that was started before, as [Process.Start] does.
func (p *Process) Connect(ctx context.Context, req *sandgatev1.ConnectRequest, send func(*sandgatev1.ConnectResponse) error) error {
	sb, err := p.sandboxes.Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return err
	}
	call := func(ctx context.Context) (*connect.ServerStreamForClient[sandgatev1.ConnectResponse], error) {
		return p.guest.Connect(ctx, guestrpc.ForGuest(req))
	}
	wrap := func(event *sandgatev1.ProcessEvent) *sandgatev1.ConnectResponse {
		return &sandgatev1.ConnectResponse{Event: event}
	}
	return follow(ctx, sb, call, wrap, send)
}

// processEvents is a message with one event of a program.
type processEvents[Message any] interface {
	*Message
	GetEvent() *sandgatev1.ProcessEvent
}

// follow carries the events of a program of its own life to the caller. It lasts as long as all of
// them: program, sandbox and caller.
func follow[Message any, Event processEvents[Message]](
	ctx context.Context, sb sandbox.Sandbox,
	call func(context.Context) (*connect.ServerStreamForClient[Message], error),
	wrap func(*sandgatev1.ProcessEvent) *Message, send func(*Message) error,
) error {
	callCtx, c := guestrpc.Begin(ctx, sb, tooLarge)
	defer c.End()
	c.StartClock()
	m, begun := newOpenMeter(), false
	stream, err := call(callCtx)
	settled := false
	if err == nil {
		defer closeStream(stream)
		r := relay[Message]{call: c, send: send}
		r.accept = func(message *Message) (verdict, error) {
			fate := acceptProcess(Event(message).GetEvent(), m, sb.Spec().Limits.MemoryBytes)
			if fate != skip && !begun {
				begun = true
				c.StopClock() // only the first event is due at a certain time
			}
			return fate, nil
		}
		settled, err = r.run(stream)
	}
	if settled {
		return err
	}
	reason := c.Why(ctx, callCtx, err)
	if !begun || errors.Is(reason, guestrpc.ErrOverdue) {
		return reason // nothing is known to have ended
	}
	if result, ok := givenUp(ctx, sb, m, reason); ok {
		return send(wrap(&sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Ended{Ended: result}}))
	}
	return reason
}

// acceptProcess mends an event of a program.
func acceptProcess(said *sandgatev1.ProcessEvent, m *meter, memoryBytes int64) verdict {
	switch event := said.GetEvent().(type) {
	case *sandgatev1.ProcessEvent_Started:
		event.Started.ProcessId = guestrpc.Clip(event.Started.GetProcessId(), maxNameBytes)
		event.Started.Pid = max(event.Started.GetPid(), 0)
		return pass
	case *sandgatev1.ProcessEvent_Stdout:
		m.stdout.output(event.Stdout)
		return pass
	case *sandgatev1.ProcessEvent_Stderr:
		m.stderr.output(event.Stderr)
		return pass
	case *sandgatev1.ProcessEvent_Ended:
		cleanProcessResult(event.Ended, m, memoryBytes)
		return last
	default:
		return skip
	}
}

// givenUp returns the result of a command or program whose end the guest did not report, and
// whether there is one.
func givenUp(ctx context.Context, sb sandbox.Sandbox, m *meter, reason error) (*sandgatev1.ProcessResult, bool) {
	end, ok := endingOf(ctx, sb, reason)
	if !ok {
		return nil, false
	}
	result := &sandgatev1.ProcessResult{Status: end.status, ExitCode: killedExitCode, Signal: "SIGKILL", Note: end.note}
	cleanProcessResult(result, m, sb.Spec().Limits.MemoryBytes)
	return result, true
}
