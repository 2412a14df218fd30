package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

func TestEveryProtocol(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	http1 := &http.Client{Transport: &http.Transport{}}
	defer http1.CloseIdleConnections()
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) { everyKind(t, g, g.client, id, options) })
		if !strings.HasPrefix(name, "grpc ") && name != "grpc" {
			t.Run(name+" http/1.1", func(t *testing.T) { everyKind(t, g, http1, id, options) })
		}
	}
}

// everyKind makes one call of each kind, and one of each that fails.
func everyKind(t *testing.T, g *rig, httpClient *http.Client, id string, options []connect.ClientOption) {
	t.Helper()
	files := sandgatev1connect.NewFileServiceClient(httpClient, g.url, options...)
	read, err := files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: id, Path: "f", Length: 100_000})
	if err != nil || len(read.GetText()) != 100_000 || read.GetTotalSize() != 7 {
		t.Errorf("unary: %d bytes, %v", len(read.GetText()), err)
	}
	_, err = files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: "ses_none", Path: "f"})
	wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
	_, err = files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: id})
	wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
	if !strings.Contains(err.Error(), "path") {
		t.Errorf("%v does not name the field", err)
	}

	python := sandgatev1connect.NewPythonServiceClient(httpClient, g.url, options...)
	stream, err := python.Run(t.Context(), &sandgatev1.RunRequest{SessionId: id, Code: "1+1"})
	if err != nil {
		t.Fatal(err)
	}
	var text string
	var status sandgatev1.Status
	for stream.Receive() {
		text += string(stream.Msg().GetStdout().GetData())
		status = stream.Msg().GetResult().GetStatus()
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil || text != "1+1" || status != sandgatev1.Status_STATUS_OK {
		t.Errorf("stream: %q, %v, %v", text, status, err)
	}

	upload := func(parts ...*sandgatev1.UploadRequest) (*sandgatev1.UploadResponse, error) {
		stream, err := files.Upload(t.Context())
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			if err := stream.Send(part); err != nil {
				break // the reply says why
			}
		}
		return stream.CloseAndReceive()
	}
	header := &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: "p"}}}
	piece := &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: make([]byte, 1<<20)}}
	res, err := upload(header, piece, piece, piece, piece, piece, piece, piece, piece, piece)
	if err != nil || res.GetFile().GetSize() != 9<<20 || res.GetFile().GetPath() != "p" {
		t.Errorf("client stream: %v, %v", res, err)
	}
	bad := &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: make([]byte, 1<<20+1)}}
	_, err = upload(header, bad)
	wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
}

func TestPanicsEndOneCall(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	files := sandgatev1connect.NewFileServiceClient(g.client, g.url)
	for _, path := range []string{"panic", "nil", "boom"} {
		_, err := files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: id, Path: path})
		wantError(t, err, connect.CodeInternal, ReasonInternal)
		if !strings.Contains(err.Error(), "internal error") || strings.Contains(err.Error(), "secret") {
			t.Errorf("the caller was told %v", err)
		}
	}
	_, err := sandgatev1connect.NewToolServiceClient(g.client, g.url).CallTool(t.Context(),
		&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"panic"}`)})
	wantError(t, err, connect.CodeInternal, ReasonInternal)
	if _, err := files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: id, Path: "f"}); err != nil {
		t.Errorf("after the panics: %v", err)
	}
	for _, want := range []string{"read panics", "python panics", "secret", "neither a reply nor an error", "rig_test.go"} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("the log does not tell of %q", want)
		}
	}
}

func TestOneLogLineACall(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	tools := sandgatev1connect.NewToolServiceClient(g.client, g.url)
	ctx, info := connect.NewClientContext(t.Context())
	info.RequestHeader().Set(RequestIDHeader, "my-id.1")
	_, err := tools.CallTool(ctx, &sandgatev1.CallToolRequest{
		SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"the secret code"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := info.ResponseHeader().Get(RequestIDHeader); got != "my-id.1" {
		t.Errorf("the reply's id is %q", got)
	}
	lines := strings.Split(strings.TrimSpace(g.log.String()), "\n")
	if len(lines) != 1 {
		t.Fatalf("%d lines:\n%s", len(lines), g.log)
	}
	for _, want := range []string{
		`"id":"my-id.1"`, `"procedure":"/sandgate.v1.ToolService/CallTool"`, `"code":"ok"`, `"tool":"python_run"`,
		`"status":"STATUS_OK"`, `"wall":`, `"bytes_in":`, `"bytes_out":`, `"session":"ses_`,
	} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("%s is not in %s", want, lines[0])
		}
	}
	if strings.Contains(lines[0], "secret") || strings.Contains(lines[0], id) {
		t.Errorf("the log holds what it must not: %s", lines[0])
	}
}

func TestRequestIDsOfCallersAreChecked(t *testing.T) {
	for _, id := range []string{"", "a b", "a\nlevel=ERROR", strings.Repeat("x", 65), "é", "\x1b[31m"} {
		if got := requestID(http.Header{RequestIDHeader: {id}}); got == id || got == "" {
			t.Errorf("%q was taken as %q", id, got)
		}
	}
	if got := requestID(http.Header{RequestIDHeader: {"A-z_0.9"}}); got != "A-z_0.9" {
		t.Errorf("a good id became %q", got)
	}
}

func TestErrorsBeforeTheHandlerAreCounted(t *testing.T) {
	g := newRig(t, nil)
	post := func(path, contentType, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	list := sandgatev1connect.ToolServiceListToolsProcedure
	post(list, "application/json", `{"nonsense":`)
	post(list, "application/grpc", "\x00\x00\x00\x00\x04zzzz")
	post(sandgatev1connect.PythonServiceRunProcedure, "application/connect+proto", "\x00\x00\x00\x00\x04zzzz")
	if got := post(list, "text/plain", `{}`); got != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d", got) // what a web page could send without asking
	}
	page := g.get(t, "/metrics", nil)
	for _, want := range []string{
		`sandgate_calls_total{code="invalid_argument",procedure="/sandgate.v1.ToolService/ListTools"} 2`,
		`sandgate_calls_total{code="invalid_argument",procedure="/sandgate.v1.PythonService/Run"} 1`,
		`sandgate_calls_total{code="unimplemented",procedure="/sandgate.v1.ToolService/ListTools"} 1`,
		`sandgate_sessions{state="running"} 0`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not in the metrics", want)
		}
	}
}

func TestReflection(t *testing.T) {
	g := newRig(t, nil)
	client := grpcreflect.NewClient(g.client, g.url, connect.WithGRPC())
	stream := client.NewStream(t.Context())
	names, err := stream.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sandgate.v1.PythonService", "sandgate.v1.ToolService", "grpc.health.v1.Health"} {
		if !strings.Contains(fmt.Sprint(names), want) {
			t.Errorf("%s is not in %v", want, names)
		}
	}
	files, err := stream.FileContainingSymbol("sandgate.v1.PythonService.Run")
	if err != nil || len(files) == 0 {
		t.Errorf("%d files, %v", len(files), err)
	}
	if _, err := stream.Close(); err != nil {
		t.Error(err)
	}
}

func TestNotFound(t *testing.T) {
	g := newRig(t, nil)
	for _, path := range []string{
		"/", "/sandgate.v1.ToolService", "/sandgate.v1.ToolService/ListTools/", "//sandgate.v1.ToolService/ListTools",
		"/sandgate.v1.ToolService/./ListTools", "/sandgate.v1.ToolService%2fListTools", "/sandgate.v1.toolservice/ListTools",
		"/sandgate.v1.ToolService/ListTools;x", "/sandgate.v1.PythonService/Interrupt", "/debug/pprof/",
	} {
		if status, _ := g.fetch(t, http.MethodPost, path, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestServeRefusesOtherAddresses(t *testing.T) {
	server, err := NewServer(Options{Registry: NewRegistry(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.stop()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "example.invalid:80", "nonsense"} {
		if listener, err := Listen(t.Context(), address, true); err == nil {
			t.Errorf("listened on %s", listener.Addr())
			_ = listener.Close()
		}
	}
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(listener); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("Serve: %v", err)
	}
}
