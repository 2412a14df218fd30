// Package pyrunner serves PythonService and ProcessService on the host's side of the wall: it finds
// the sandbox of a session, passes requests to the guest inside and events back. It believes the
// guest nothing that it can check: answers are bounded and mended, a guest that dies, falls silent or
// does not obey ends the call with a typed result or error, and nothing is ever run a second time.
package pyrunner

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// defaultRunTimeout is how long a cell may run when its request does not say.
	defaultRunTimeout = 300 * time.Second
	// maxMessageBytes bounds one message of a guest: the largest honest one is a display of 16 MiB.
	maxMessageBytes = 20 << 20
	// tooLarge is the hint for a caller whose answer was beyond every bound.
	tooLarge = "The work was interrupted. Produce less at a time, or write to a file and read parts of it."
)

// Python is the host's side of PythonService. Its methods may be called by any number of
// goroutines; their errors are *connect.Errors. Requests must have passed validation.
type Python struct {
	sandboxes guestrpc.Sandboxes
	guest     sandgatev1connect.PythonServiceClient
	lanes     lanes
}

// NewPython returns a Python that finds its sandboxes in sandboxes.
func NewPython(sandboxes guestrpc.Sandboxes) *Python {
	return &Python{
		sandboxes: sandboxes,
		guest:     sandgatev1connect.NewPythonServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(maxMessageBytes)...),
	}
}

// Run runs a cell and gives send its events, the last one being the result. If the sandbox dies or
// does not obey, the result says so: the state is lost then. If ctx ends, the cell is interrupted and
// the error is Canceled. An answer beyond all bounds is ResourceExhausted.
func (p *Python) Run(ctx context.Context, req *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
	sb, err := p.sandboxes.Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return err
	}
	if ended(sb) {
		return guestrpc.SessionLost(sb)
	}
	key := laneKey{sb.ID(), contextName(req.GetContextId())}
	line, err := p.lanes.enter(key, timeoutOr(req.GetTimeout(), defaultRunTimeout))
	if err != nil {
		return err
	}
	defer p.lanes.leave(key)

	m := newMeter(ctx, req.GetMaxOutputBytes(), int64(len(req.GetCode()))+envBytes(req.GetEnv()))
	settled, err := p.relayRun(ctx, runCall{sb, line, m}, req, send)
	if settled {
		return err
	}
	end, ok := endingOf(ctx, sb, err)
	if !ok {
		return err
	}
	result := &sandgatev1.RunResult{Status: end.status, StateLost: true, Note: end.note}
	cleanRunResult(result, m, sb.Spec().Limits.MemoryBytes)
	return send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Result{Result: result}})
}

// runCall is what belongs to one bounded call.
type runCall struct {
	sandbox sandbox.Sandbox
	lane    *lane
	meter   *meter
}

// relayRun makes the call to the guest. If it is not settled, err is what endingOf takes, or an
// error for the caller.
func (p *Python) relayRun(
	ctx context.Context, rc runCall, req *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error,
) (settled bool, err error) {
	callCtx, c := guestrpc.Begin(ctx, rc.sandbox, tooLarge)
	defer c.End()
	guard := newBackstop(rc.lane, c.GiveUp)
	defer guard.stop()
	stream, err := p.guest.Run(callCtx, guestrpc.ForGuest(req))
	if err != nil {
		return false, c.Why(ctx, callCtx, err)
	}
	defer closeStream(stream)
	r := relay[sandgatev1.RunResponse]{call: c, backstop: guard, send: send}
	r.accept = func(event *sandgatev1.RunResponse) (verdict, error) {
		return acceptRun(event, rc.meter, rc.sandbox.Spec().Limits.MemoryBytes)
	}
	if settled, err = r.run(stream); settled {
		return true, err
	}
	return false, c.Why(ctx, callCtx, err)
}

// acceptRun mends and counts an event of a cell.
func acceptRun(response *sandgatev1.RunResponse, m *meter, memoryBytes int64) (verdict, error) {
	switch event := response.GetEvent().(type) {
	case *sandgatev1.RunResponse_Stdout:
		m.stdout.output(event.Stdout)
		return pass, m.count(len(event.Stdout.GetData()))
	case *sandgatev1.RunResponse_Stderr:
		m.stderr.output(event.Stderr)
		return pass, m.count(len(event.Stderr.GetData()))
	case *sandgatev1.RunResponse_Display:
		cleanDisplay(event.Display)
		return pass, m.count(proto.Size(event.Display))
	case *sandgatev1.RunResponse_Result:
		cleanRunResult(event.Result, m, memoryBytes)
		return last, m.count(0)
	default:
		return skip, m.count(0)
	}
}

// Interrupt ends the call that runs in a context.
func (p *Python) Interrupt(ctx context.Context, req *sandgatev1.InterruptRequest) (*sandgatev1.InterruptResponse, error) {
	return unary(ctx, p.sandboxes, req, p.guest.Interrupt)
}

// CreateContext starts another kernel in the session.
func (p *Python) CreateContext(ctx context.Context, req *sandgatev1.CreateContextRequest) (*sandgatev1.CreateContextResponse, error) {
	res, err := unary(ctx, p.sandboxes, req, p.guest.CreateContext)
	if err == nil {
		res.Context = cleanContext(res.GetContext())
	}
	return res, err
}

// ListContexts returns the session's contexts, the default one first.
func (p *Python) ListContexts(ctx context.Context, req *sandgatev1.ListContextsRequest) (*sandgatev1.ListContextsResponse, error) {
	res, err := unary(ctx, p.sandboxes, req, p.guest.ListContexts)
	if err != nil {
		return nil, err
	}
	res.Contexts = res.GetContexts()[:min(len(res.GetContexts()), maxListed)]
	for _, c := range res.GetContexts() {
		cleanContext(c)
	}
	return res, nil
}

// RestartContext replaces a kernel by a fresh one.
func (p *Python) RestartContext(ctx context.Context, req *sandgatev1.RestartContextRequest) (*sandgatev1.RestartContextResponse, error) {
	res, err := unary(ctx, p.sandboxes, req, p.guest.RestartContext)
	if err == nil {
		res.Context = cleanContext(res.GetContext())
	}
	return res, err
}

// DeleteContext ends a kernel and everything that it started.
func (p *Python) DeleteContext(ctx context.Context, req *sandgatev1.DeleteContextRequest) (*sandgatev1.DeleteContextResponse, error) {
	return unary(ctx, p.sandboxes, req, p.guest.DeleteContext)
}
