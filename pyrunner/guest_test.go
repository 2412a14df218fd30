package pyrunner_test

import (
	"context"
	"flag"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/pyrunner"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	goleak.VerifyTestMain(m)
}

// updating reports whether the golden files should be rewritten.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// guest is a guest that does what a test says, good or evil.
type guest struct {
	sandgatev1connect.UnimplementedPythonServiceHandler
	sandgatev1connect.UnimplementedProcessServiceHandler

	run     func(context.Context, *sandgatev1.RunRequest, func(*sandgatev1.RunResponse) error) error
	shell   func(context.Context, *sandgatev1.ShellRequest, func(*sandgatev1.ShellResponse) error) error
	events  func(context.Context, func(*sandgatev1.ProcessEvent) error) error
	restart func(context.Context) (*sandgatev1.RestartContextResponse, error)
	list    func(context.Context) (*sandgatev1.ListProcessesResponse, error)
}

func (g *guest) Run(ctx context.Context, req *sandgatev1.RunRequest, stream *connect.ServerStream[sandgatev1.RunResponse]) error {
	return g.run(ctx, req, stream.Send)
}

func (g *guest) RestartContext(ctx context.Context, _ *sandgatev1.RestartContextRequest) (*sandgatev1.RestartContextResponse, error) {
	return g.restart(ctx)
}

func (g *guest) Shell(ctx context.Context, req *sandgatev1.ShellRequest, stream *connect.ServerStream[sandgatev1.ShellResponse]) error {
	return g.shell(ctx, req, stream.Send)
}

func (g *guest) Start(ctx context.Context, _ *sandgatev1.StartRequest, stream *connect.ServerStream[sandgatev1.StartResponse]) error {
	return g.events(ctx, func(event *sandgatev1.ProcessEvent) error {
		return stream.Send(&sandgatev1.StartResponse{Event: event})
	})
}

func (g *guest) Connect(ctx context.Context, _ *sandgatev1.ConnectRequest, stream *connect.ServerStream[sandgatev1.ConnectResponse]) error {
	return g.events(ctx, func(event *sandgatev1.ProcessEvent) error {
		return stream.Send(&sandgatev1.ConnectResponse{Event: event})
	})
}

func (g *guest) ListProcesses(ctx context.Context, _ *sandgatev1.ListProcessesRequest) (*sandgatev1.ListProcessesResponse, error) {
	return g.list(ctx)
}

// boxWith puts a guest into a box.
func boxWith(tb testing.TB, g *guest) *sandboxtest.Box {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle(sandgatev1connect.NewPythonServiceHandler(g))
	mux.Handle(sandgatev1connect.NewProcessServiceHandler(g))
	return sandboxtest.Serve(tb, mux)
}

// run makes one call and returns its events.
func run(ctx context.Context, p *pyrunner.Python, req *sandgatev1.RunRequest) ([]*sandgatev1.RunResponse, error) {
	var events []*sandgatev1.RunResponse
	req.SessionId = "s"
	err := p.Run(ctx, req, func(event *sandgatev1.RunResponse) error {
		events = append(events, event)
		return nil
	})
	return events, err
}

func stdout(text string, offset int64) *sandgatev1.RunResponse {
	return &sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Stdout{Stdout: &sandgatev1.Output{Data: []byte(text), Offset: offset}}}
}

func result(r *sandgatev1.RunResult) *sandgatev1.RunResponse {
	return &sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Result{Result: r}}
}
