package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// fakeGateway is an API without sandboxes, so that the client can be tried by itself: its Python is
// a handful of words, and its files are a map.
type fakeGateway struct {
	sandgatev1connect.UnimplementedFileServiceHandler
	sandgatev1connect.UnimplementedProcessServiceHandler
	sandgatev1connect.UnimplementedPythonServiceHandler
	sandgatev1connect.UnimplementedSessionServiceHandler
	sandgatev1connect.UnimplementedToolServiceHandler

	mu         sync.Mutex
	sessions   map[string]*sandgatev1.Session
	files      map[string][]byte // by session and path
	contexts   map[string]bool   // by session and name
	made       int
	interrupts chan struct{}
}

// startFakeGateway serves a fake and returns its URL.
func startFakeGateway(t *testing.T) string {
	t.Helper()
	fake := &fakeGateway{
		sessions: map[string]*sandgatev1.Session{}, files: map[string][]byte{}, contexts: map[string]bool{}, interrupts: make(chan struct{}, 1),
	}
	mux := http.NewServeMux()
	mux.Handle(sandgatev1connect.NewSessionServiceHandler(fake))
	mux.Handle(sandgatev1connect.NewPythonServiceHandler(fake))
	mux.Handle(sandgatev1connect.NewProcessServiceHandler(&processes{fakeGateway: fake, inputs: map[string]chan []byte{}}))
	mux.Handle(sandgatev1connect.NewFileServiceHandler(fake))
	mux.Handle(sandgatev1connect.NewToolServiceHandler(fake))
	return serveBoth(t, mux)
}

// serveBoth serves a handler over HTTP/1 and HTTP/2 without TLS, as a gateway does, and returns its URL.
func serveBoth(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func notFound(text string) error {
	return withHint(connect.CodeNotFound, text, "Create another session.")
}

func withHint(code connect.Code, text, hint string) error {
	err := connect.NewError(code, errors.New(text))
	reason := ""
	if code == connect.CodeNotFound {
		reason = "SESSION_NOT_FOUND"
	}
	if detail, detailErr := connect.NewErrorDetail(&sandgatev1.ErrorDetail{Reason: reason, Hint: hint}); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}

func (f *fakeGateway) CreateSession(_ context.Context, req *sandgatev1.CreateSessionRequest) (*sandgatev1.CreateSessionResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	now := time.Unix(1_700_000_000, 0)
	template := req.GetTemplate()
	if template == "" {
		template = "python"
	}
	session := &sandgatev1.Session{
		Id: fmt.Sprintf("s%d", f.made), Template: template, Metadata: req.GetMetadata(), Limits: req.GetLimits(),
		State: sandgatev1.SessionState_SESSION_STATE_RUNNING, Runtime: "runsc", IdleTimeout: durationpb.New(time.Hour),
		CreatedAt: timestamppb.New(now), IdleExpiresAt: timestamppb.New(now.Add(time.Minute)), HardExpiresAt: timestamppb.New(now),
	}
	f.sessions[session.GetId()] = session
	return &sandgatev1.CreateSessionResponse{Session: session}, nil
}

func (f *fakeGateway) find(id string) (*sandgatev1.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if session := f.sessions[id]; session != nil {
		return session, nil
	}
	return nil, notFound("no such session")
}

func (f *fakeGateway) GetSession(_ context.Context, req *sandgatev1.GetSessionRequest) (*sandgatev1.GetSessionResponse, error) {
	session, err := f.find(req.GetSessionId())
	return &sandgatev1.GetSessionResponse{Session: session}, err
}

func (f *fakeGateway) ListSessions(_ context.Context, req *sandgatev1.ListSessionsRequest) (*sandgatev1.ListSessionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reply := &sandgatev1.ListSessionsResponse{}
	for i := 1; i <= f.made; i++ { // one a page
		id := fmt.Sprintf("s%d", i)
		session := f.sessions[id]
		after, _ := strconv.Atoi(req.GetPageToken())
		if session == nil || i <= after {
			continue
		}
		if len(reply.GetSessions()) == 1 {
			reply.NextPageToken = strings.TrimPrefix(reply.GetSessions()[0].GetId(), "s")
			break
		}
		reply.Sessions = append(reply.Sessions, session)
	}
	return reply, nil
}

func (f *fakeGateway) ExtendSession(_ context.Context, req *sandgatev1.ExtendSessionRequest) (*sandgatev1.ExtendSessionResponse, error) {
	session, err := f.find(req.GetSessionId())
	return &sandgatev1.ExtendSessionResponse{Session: session}, err
}

func (f *fakeGateway) DeleteSession(_ context.Context, req *sandgatev1.DeleteSessionRequest) (*sandgatev1.DeleteSessionResponse, error) {
	if _, err := f.find(req.GetSessionId()); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sessions, req.GetSessionId())
	return &sandgatev1.DeleteSessionResponse{}, nil
}

// Run understands one word a line: what it is to do, and its argument.
func (f *fakeGateway) Run(ctx context.Context, req *sandgatev1.RunRequest, stream *connect.ServerStream[sandgatev1.RunResponse]) error {
	if _, err := f.find(req.GetSessionId()); err != nil {
		return err
	}
	f.mu.Lock()
	known := req.GetContextId() == "" || f.contexts[req.GetSessionId()+":"+req.GetContextId()]
	f.mu.Unlock()
	if !known {
		return connect.NewError(connect.CodeNotFound, errors.New("no such context"))
	}
	result := &sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_OK}
	for line := range strings.Lines(req.GetCode()) {
		word, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
		event := &sandgatev1.RunResponse{}
		switch word {
		case "out":
			event.Event = &sandgatev1.RunResponse_Stdout{Stdout: &sandgatev1.Output{Data: []byte(argument + "\n")}}
		case "argv":
			event.Event = &sandgatev1.RunResponse_Stdout{Stdout: &sandgatev1.Output{Data: []byte("argv " + req.GetEnv()["SANDGATE_ARGV"] + "\n")}}
		case "err":
			event.Event = &sandgatev1.RunResponse_Stderr{Stderr: &sandgatev1.Output{Data: []byte(argument + "\n")}}
		case "long", "cut":
			event.Event = &sandgatev1.RunResponse_Stderr{Stderr: &sandgatev1.Output{Data: []byte("some\n")}}
			result.Stderr = f.keptStream(req.GetSessionId(), word, "some\n")
		case "value":
			event.Event = &sandgatev1.RunResponse_Display{Display: &sandgatev1.Display{IsResult: true, Text: argument}}
		case "png":
			event.Event = &sandgatev1.RunResponse_Display{Display: &sandgatev1.Display{Png: []byte(argument)}}
		case "raise":
			result.Status = sandgatev1.Status_STATUS_ERROR
			result.Error = &sandgatev1.PythonError{Name: argument, Traceback: "Traceback: " + argument}
		case "exit":
			code, _ := strconv.Atoi(argument)
			result.Status, result.ExitCode = sandgatev1.Status_STATUS_ERROR, int32(code)
		case "drain": // as a gateway does that ends
			return connect.NewError(connect.CodeCanceled, context.Canceled)
		case "refuse":
			return withHint(connect.CodeInvalidArgument, argument, "Mend the named fields and call again.")
		case "keyless":
			return withHint(connect.CodeUnauthenticated, "a key is needed", "Send `Authorization: Bearer KEY`.")
		case "end": // as os._exit does
			code, _ := strconv.Atoi(argument)
			result.Status, result.ExitCode, result.StateLost = sandgatev1.Status_STATUS_ERROR, int32(code), true
			result.Note = "Python ended by itself. A new one was started: variables and imports are gone, files are kept."
		case "lost": // between two calls
			result.StateLost, result.Note = true, argument
		case "status":
			result.Status = sandgatev1.Status(sandgatev1.Status_value["STATUS_"+argument])
			result.Note = "it ended by " + argument
		case "wait":
			select {
			case <-f.interrupts:
				result.Status = sandgatev1.Status_STATUS_INTERRUPTED
				result.Error = &sandgatev1.PythonError{Name: "KeyboardInterrupt", Traceback: "KeyboardInterrupt"}
			case <-ctx.Done():
				return ctx.Err()
			}
		case "hang":
			select {
			case <-f.interrupts:
				event.Event = &sandgatev1.RunResponse_Stdout{Stdout: &sandgatev1.Output{Data: []byte("interrupt asked\n")}}
				if err := stream.Send(event); err != nil {
					return err
				}
			case <-ctx.Done():
			}
			<-ctx.Done()
			return ctx.Err()
		}
		if event.Event != nil {
			if err := stream.Send(event); err != nil {
				return err
			}
		}
	}
	return stream.Send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Result{Result: result}})
}

func (f *fakeGateway) CreateContext(_ context.Context, req *sandgatev1.CreateContextRequest) (*sandgatev1.CreateContextResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := req.GetSessionId() + ":" + req.GetContextId()
	if f.contexts[key] {
		return nil, connect.NewError(connect.CodeAlreadyExists, errors.New("the context exists"))
	}
	f.contexts[key] = true
	return &sandgatev1.CreateContextResponse{}, nil
}

func (f *fakeGateway) Interrupt(context.Context, *sandgatev1.InterruptRequest) (*sandgatev1.InterruptResponse, error) {
	select {
	case f.interrupts <- struct{}{}:
	default: // one is asked for already
	}
	return &sandgatev1.InterruptResponse{Interrupted: true}, nil
}

func (f *fakeGateway) key(session, name string) string {
	return session + ":" + path.Join("/home/user", strings.TrimPrefix(name, "/home/user"))
}

func (f *fakeGateway) Upload(_ context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
	if !stream.Receive() || stream.Msg().GetHeader() == nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("no header"))
	}
	header := stream.Msg().GetHeader()
	if _, err := f.find(header.GetSessionId()); err != nil {
		return nil, err
	}
	var content bytes.Buffer
	for stream.Receive() {
		content.Write(stream.Msg().GetData())
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[f.key(header.GetSessionId(), header.GetPath())] = content.Bytes()
	return &sandgatev1.UploadResponse{File: &sandgatev1.FileInfo{Path: header.GetPath(), Size: int64(content.Len())}}, nil
}

func (f *fakeGateway) Download(_ context.Context, req *sandgatev1.DownloadRequest, stream *connect.ServerStream[sandgatev1.DownloadResponse]) error {
	f.mu.Lock()
	content, ok := f.files[f.key(req.GetSessionId(), req.GetPath())]
	f.mu.Unlock()
	if !ok {
		return connect.NewError(connect.CodeNotFound, errors.New("no such file"))
	}
	wanted := content[min(req.GetOffset(), int64(len(content))):]
	if req.GetLength() > 0 {
		wanted = wanted[:min(req.GetLength(), int64(len(wanted)))]
	}
	reader, first := bytes.NewReader(wanted), true
	for {
		buffer := make([]byte, 64<<10)
		n, err := reader.Read(buffer)
		if errors.Is(err, io.EOF) && !first {
			return nil
		}
		message := &sandgatev1.DownloadResponse{Data: buffer[:n]}
		if first {
			message.TotalSize, first = int64(len(content)), false
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}
}

func (f *fakeGateway) Stat(_ context.Context, req *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	if _, err := f.find(req.GetSessionId()); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := f.key(req.GetSessionId(), req.GetPath())
	_, absolute, _ := strings.Cut(key, ":")
	info := &sandgatev1.FileInfo{Path: absolute, Type: sandgatev1.FileType_FILE_TYPE_FILE}
	if content, ok := f.files[key]; ok {
		info.Size = int64(len(content))
		return &sandgatev1.StatResponse{File: info}, nil
	}
	for other := range f.files {
		if strings.HasPrefix(other, key+"/") {
			info.Type = sandgatev1.FileType_FILE_TYPE_DIRECTORY
			return &sandgatev1.StatResponse{File: info}, nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, errors.New("no such file"))
}

func (f *fakeGateway) MakeDir(context.Context, *sandgatev1.MakeDirRequest) (*sandgatev1.MakeDirResponse, error) {
	return &sandgatev1.MakeDirResponse{}, nil
}

// ListFiles lists one level. It adds names that would lead elsewhere when the folder is called hostile,
// and what cannot be copied when it is called odd.
func (f *fakeGateway) ListFiles(_ context.Context, req *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reply := &sandgatev1.ListFilesResponse{}
	prefix := f.key(req.GetSessionId(), req.GetPath()) + "/"
	_, folder, _ := strings.Cut(prefix, ":")
	found := map[string]sandgatev1.FileType{}
	for key := range f.files {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			name, _, deeper := strings.Cut(rest, "/")
			found[name] = sandgatev1.FileType_FILE_TYPE_FILE
			if deeper {
				found[name] = sandgatev1.FileType_FILE_TYPE_DIRECTORY
			}
		}
	}
	switch path.Base(req.GetPath()) {
	case "hostile":
		found["../../escaped"] = sandgatev1.FileType_FILE_TYPE_FILE
	case "odd":
		found["\uFFFDfile"] = sandgatev1.FileType_FILE_TYPE_FILE
		found["\uFFFDfolder"] = sandgatev1.FileType_FILE_TYPE_DIRECTORY
		found["hidden"] = sandgatev1.FileType_FILE_TYPE_OTHER
		found[strings.Repeat("long", 1024)] = sandgatev1.FileType_FILE_TYPE_DIRECTORY
	}
	if len(found) == 0 {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such folder"))
	}
	for name, kind := range found {
		reply.Files = append(reply.Files, &sandgatev1.FileInfo{Path: folder + name, Type: kind})
	}
	slices.SortFunc(reply.Files, func(x, y *sandgatev1.FileInfo) int { return strings.Compare(x.GetPath(), y.GetPath()) })
	return reply, nil
}

func (f *fakeGateway) ListTools(context.Context, *sandgatev1.ListToolsRequest) (*sandgatev1.ListToolsResponse, error) {
	schema, err := structpb.NewStruct(map[string]any{
		"type": "object", "required": []any{"code"},
		"properties": map[string]any{"code": map[string]any{"type": "string", "description": "The code."}, "timeout": map[string]any{"type": "string"}},
	})
	return &sandgatev1.ListToolsResponse{Tools: []*sandgatev1.Tool{
		{Name: "python_run", Description: "Runs Python. It keeps state.", SideEffects: true, Scopes: []string{"python"}, InputSchema: schema, Procedure: "/x/Run"},
	}}, err
}

func (f *fakeGateway) CallTool(_ context.Context, req *sandgatev1.CallToolRequest) (*sandgatev1.CallToolResponse, error) {
	if _, err := f.find(req.GetSessionId()); err != nil {
		return nil, err
	}
	if req.GetName() == "picky" {
		return nil, withHint(connect.CodeInvalidArgument, "no such argument", "picky takes: code. ListTools has the schema.")
	}
	result, err := structpb.NewStruct(map[string]any{"exit_code": 7})
	reply := &sandgatev1.CallToolResponse{Status: sandgatev1.Status_STATUS_OK, Content: []*sandgatev1.Content{
		{Part: &sandgatev1.Content_Text{Text: "called " + req.GetName() + " with " + req.GetArguments().GetFields()["code"].GetStringValue()}},
		{Part: &sandgatev1.Content_Image{Image: &sandgatev1.Image{MimeType: "image/png", Data: []byte("PNG")}}},
	}}
	if req.GetName() == "failing" {
		reply.Status, reply.Result = sandgatev1.Status_STATUS_ERROR, result
	}
	return reply, err
}

// StreamTool is CallTool with one event before, and a tool of its own that waits.
func (f *fakeGateway) StreamTool(ctx context.Context, req *sandgatev1.StreamToolRequest, stream *connect.ServerStream[sandgatev1.StreamToolResponse]) error {
	if req.GetCall().GetName() == "waiting" {
		<-ctx.Done()
		return ctx.Err()
	}
	event, err := structpb.NewStruct(map[string]any{"display": map[string]any{"text": "begun"}})
	if err != nil {
		return err
	}
	if err := stream.Send(&sandgatev1.StreamToolResponse{Event: &sandgatev1.StreamToolResponse_Progress{Progress: event}}); err != nil {
		return err
	}
	reply, err := f.CallTool(ctx, req.GetCall())
	if err != nil {
		return err
	}
	return stream.Send(&sandgatev1.StreamToolResponse{Event: &sandgatev1.StreamToolResponse_Result{Result: reply}})
}
