package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// rig is a served gateway whose tools do as the test's session asks.
type rig struct {
	server   *Server
	sessions *house
	url      string
	client   *http.Client
	log      *logBuffer
	runs     chan struct{} // gets one for each run of python_run that begins to wait
}

func newRig(tb testing.TB, change func(*Options)) *rig {
	tb.Helper()
	g := &rig{sessions: newHouse(tb, nil), log: &logBuffer{}, runs: make(chan struct{}, 1000)}
	listener, err := Listen(tb.Context(), "127.0.0.1:0", true)
	if err != nil {
		tb.Fatal(err)
	}
	g.url = "http://" + listener.Addr().String()
	g.serve(tb, listener, nil, change)
	return g
}

// serve begins to serve a listener that is reached by dial, or at its address.
func (g *rig) serve(tb testing.TB, listener net.Listener, dial func(context.Context, string, string) (net.Conn, error), change func(*Options)) {
	tb.Helper()
	registry := NewRegistry()
	g.sessions.Register(registry)
	registerFakes(g, registry)
	opts := Options{Registry: registry, Sessions: g.sessions.Sessions, Logger: slog.New(slog.NewJSONHandler(g.log, nil))}
	if change != nil {
		change(&opts)
	}
	var err error
	if g.server, err = NewServer(opts); err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(listener) }()
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: dial}
	g.client = &http.Client{Transport: transport}
	tb.Cleanup(func() {
		transport.CloseIdleConnections() // else HTTP/2's graceful end waits for them
		if err := g.server.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
}

// registerFakes registers RPCs that act as their argument says.
func registerFakes(g *rig, r *Registry) {
	Stream(r, sandgatev1connect.PythonServiceRunProcedure, g.python)
	Unary(r, sandgatev1connect.FileServiceReadProcedure, func(ctx context.Context, req *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error) {
		if _, err := g.sessions.Sandbox(ctx, req.GetSessionId()); err != nil {
			return nil, err
		}
		switch req.GetPath() {
		case "panic":
			panic("read panics")
		case "nil":
			return nil, nil
		case "boom":
			return nil, errBoom
		case "silent":
			return nil, Errorf(connect.CodeDeadlineExceeded, "SANDBOX_SILENT", "Look before you call again.", "no answer")
		default:
			return &sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: strings.Repeat("x", int(req.GetLength()))}, TotalSize: 7}, nil
		}
	})
	ClientStream(r, sandgatev1connect.FileServiceUploadProcedure, func(_ context.Context, recv func() (*sandgatev1.UploadRequest, error)) (*sandgatev1.UploadResponse, error) {
		info := &sandgatev1.FileInfo{}
		for {
			req, err := recv()
			if errors.Is(err, io.EOF) {
				return &sandgatev1.UploadResponse{File: info}, nil
			}
			if err != nil {
				return nil, err
			}
			info.Size += int64(len(req.GetData()))
			info.Path += req.GetHeader().GetPath()
		}
	})
}

// python obeys its code: the name of what to do.
func (g *rig) python(ctx context.Context, req *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
	if _, err := g.sessions.Sandbox(ctx, req.GetSessionId()); err != nil {
		return err
	}
	if durable := sandbox.DurableFrom(ctx); durable != nil && durable.Resumes() {
		durable.Found(req.GetCode() != "unknown") // which is what guests are for
		durable.Miss(2)
	}
	result := &sandgatev1.RunResult{
		Status: sandgatev1.Status_STATUS_OK, ExecutionCount: 1,
		Receipt: &sandgatev1.Receipt{Wall: durationpb.New(5), BytesIn: int64(len(req.GetCode()))},
	}
	switch strings.TrimSpace(req.GetCode()) {
	case "panic":
		panic("python panics")
	case "hello, then wait":
		err := send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Stdout{Stdout: &sandgatev1.Output{Data: []byte("hello")}}})
		<-ctx.Done()
		return errors.Join(ctx.Err(), err)
	case "wait":
		g.runs <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	case "no result":
		return nil
	case "flood":
		g.runs <- struct{}{}
		for {
			out := &sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Stdout{Stdout: &sandgatev1.Output{Data: make([]byte, 64<<10)}}}
			if err := send(out); err != nil {
				return err
			}
		}
	case "fails":
		result.Status, result.Error = sandgatev1.Status_STATUS_ERROR, &sandgatev1.PythonError{Name: "ValueError"}
	default:
		out := &sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Stdout{Stdout: &sandgatev1.Output{Data: []byte(req.GetCode())}}}
		if err := send(out); err != nil {
			return err
		}
	}
	return send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Result{Result: result}})
}

func (g *rig) session(tb testing.TB) string {
	tb.Helper()
	return g.sessions.mustCreate(tb, &sandgatev1.CreateSessionRequest{}).GetId()
}

// wire are the ways in which a client may speak.
func wires() map[string][]connect.ClientOption {
	return map[string][]connect.ClientOption{
		"connect":      nil,
		"connect json": {connect.WithProtoJSON()},
		"connect gzip": {connect.WithSendGzip()},
		"grpc":         {connect.WithGRPC()},
		"grpc gzip":    {connect.WithGRPC(), connect.WithSendGzip()},
		"grpc-web":     {connect.WithGRPCWeb()},
	}
}

// get fetches a page and fails the test unless that works.
func (g *rig) get(tb testing.TB, path string, header http.Header) string {
	tb.Helper()
	status, body := g.fetch(tb, http.MethodGet, path, header)
	if status != http.StatusOK {
		tb.Fatalf("GET %s: %d %s", path, status, body)
	}
	return body
}

func (g *rig) fetch(tb testing.TB, method, path string, header http.Header) (int, string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, g.url+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header = header.Clone()
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := g.client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return res.StatusCode, string(body)
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
