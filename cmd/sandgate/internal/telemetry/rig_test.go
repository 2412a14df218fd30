package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/telemetry"
	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/pyrunner"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guest answers as its caller asks.
type guest struct {
	sandgatev1connect.UnimplementedFileServiceHandler
	sandgatev1connect.UnimplementedPythonServiceHandler

	die func()
}

func (g guest) Stat(ctx context.Context, req *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	switch req.GetPath() {
	case "secret-path":
		return nil, connect.NewError(connect.CodeNotFound, errors.New("secret-path is not there"))
	case "die":
		g.die()
		<-ctx.Done()
	}
	return &sandgatev1.StatResponse{File: &sandgatev1.FileInfo{Path: req.GetPath()}}, nil
}

func (guest) Run(_ context.Context, _ *sandgatev1.RunRequest, stream *connect.ServerStream[sandgatev1.RunResponse]) error {
	result := &sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_ERROR, Error: &sandgatev1.PythonError{Name: "Secret"}}
	return stream.Send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Result{Result: result}})
}

// sandboxOf is a box that any number of goroutines may close.
type sandboxOf struct{ *sandboxtest.Box }

func (b sandboxOf) Close(context.Context) error {
	b.Die(sandbox.ErrClosed)
	return nil
}

// rig is a gateway as `sandgate serve` puts it together, whose sandboxes are boxes around a guest.
type rig struct {
	traces   *telemetry.Traces
	sessions sandgatev1connect.SessionServiceClient
	tools    sandgatev1connect.ToolServiceClient
	python   sandgatev1connect.PythonServiceClient
	box      *sandboxtest.Box
	log      *logBuffer
}

// newRig starts one, with the tracing that the test's environment asks for.
func newRig(tb testing.TB, options ...connect.ClientOption) *rig {
	tb.Helper()
	g := &rig{log: &logBuffer{}}
	log := slog.New(slog.NewJSONHandler(g.log, nil))
	var err error
	if g.traces, err = telemetry.Start(tb.Context(), os.LookupEnv, "test", log); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { g.traces.Close(context.Background()) })
	mux := http.NewServeMux()
	mux.Handle(sandgatev1connect.NewFileServiceHandler(guest{die: func() { g.box.Die(sandbox.ErrLost) }}))
	mux.Handle(sandgatev1connect.NewPythonServiceHandler(guest{}))
	g.box = sandboxtest.Serve(tb, mux)
	sessions := newSessions(tb, sandboxOf{g.box}, log)
	registry := gateway.NewRegistry()
	sessions.Register(registry)
	gateway.Unary(registry, sandgatev1connect.FileServiceStatProcedure, fileserver.New(sessions).Stat)
	gateway.Stream(registry, sandgatev1connect.PythonServiceRunProcedure, pyrunner.NewPython(sessions).Run)
	server, err := gateway.NewServer(gateway.Options{Registry: registry, Sessions: sessions, Logger: log, Tracer: g.traces.Tracer()})
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := gateway.Listen(tb.Context(), "127.0.0.1:0", true)
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := errors.Join(server.Shutdown(context.Background()), <-served); err != nil {
			tb.Error(err)
		}
	})
	client, url := &http.Client{Transport: transport}, "http://"+listener.Addr().String()
	g.sessions = sandgatev1connect.NewSessionServiceClient(client, url, options...)
	g.tools = sandgatev1connect.NewToolServiceClient(client, url, options...)
	g.python = sandgatev1connect.NewPythonServiceClient(client, url, options...)
	return g
}

func newSessions(tb testing.TB, box sandbox.Sandbox, log *slog.Logger) *gateway.Sessions {
	tb.Helper()
	db, err := store.Open(tb.Context(), store.Options{Source: filepath.Join(tb.TempDir(), "sandgate.db")})
	if err != nil {
		tb.Fatal(err)
	}
	sessions, err := gateway.NewSessions(gateway.SessionOptions{
		Driver:  sandbox.DriverFunc(func(context.Context, sandbox.Spec) (sandbox.Sandbox, error) { return box, nil }),
		Store:   db,
		Runtime: "runc", Templates: []string{"python"}, Logger: log,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(sessions.Close(context.Background()), db.Close()); err != nil {
			tb.Error(err)
		}
	})
	return sessions
}

// session makes a session and returns its id.
func (g *rig) session(tb testing.TB) string {
	tb.Helper()
	created, err := g.sessions.CreateSession(tb.Context(), &sandgatev1.CreateSessionRequest{})
	if err != nil {
		tb.Fatal(err)
	}
	return created.GetSession().GetId()
}

// stat calls the tool file_stat with request headers.
func (g *rig) stat(tb testing.TB, session, path string, headers map[string]string) error {
	tb.Helper()
	arguments, err := structpb.NewStruct(map[string]any{"path": path})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, info := connect.NewClientContext(tb.Context())
	for name, value := range headers {
		info.RequestHeader().Set(name, value)
	}
	_, err = g.tools.CallTool(ctx, &sandgatev1.CallToolRequest{SessionId: session, Name: "file_stat", Arguments: arguments})
	return err
}

// run runs code and reads all that comes of it.
func (g *rig) run(tb testing.TB, session, code string) {
	tb.Helper()
	stream, err := g.python.Run(tb.Context(), &sandgatev1.RunRequest{SessionId: session, Code: code})
	if err != nil {
		tb.Fatal(err)
	}
	for stream.Receive() {
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil {
		tb.Fatal(err)
	}
}

// logBuffer is a log that tests read.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
