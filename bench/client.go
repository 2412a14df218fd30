package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// client is what an agent has: the generated clients over connections of its own.
type client struct {
	http     *http.Client
	sessions sandgatev1connect.SessionServiceClient
	python   sandgatev1connect.PythonServiceClient
	files    sandgatev1connect.FileServiceClient
	tools    sandgatev1connect.ToolServiceClient
}

// dial returns a client of a tenant's that shares nothing with others.
func (g *gateway) dial(tenant string) *client {
	c := &http.Client{Transport: keyed{newTransport(), g.keys[tenant]}}
	return &client{
		http:     c,
		sessions: sandgatev1connect.NewSessionServiceClient(c, g.url),
		python:   sandgatev1connect.NewPythonServiceClient(c, g.url),
		files:    sandgatev1connect.NewFileServiceClient(c, g.url),
		tools:    sandgatev1connect.NewToolServiceClient(c, g.url),
	}
}

// session is one session, and the client that uses it.
type session struct {
	*client
	id string
}

// create makes a session. Its time is what B3 measures, so nothing else is done here.
func (c *client) create(ctx context.Context, request *sandgatev1.CreateSessionRequest) (*session, error) {
	reply, err := c.sessions.CreateSession(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("create a session: %w", err)
	}
	return &session{client: c, id: reply.GetSession().GetId()}, nil
}

// Close deletes the session, also when ctx has ended.
func (s *session) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	if _, err := s.sessions.DeleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: s.id}); err != nil {
		return fmt.Errorf("delete a session: %w", err)
	}
	return nil
}

// outcome is what a cell produced, as far as rows look at it.
type outcome struct {
	text   string // of the last expression's value
	result *sandgatev1.RunResult
}

// run runs a cell to its end. Code that does not end well is an error.
func (s *session) run(ctx context.Context, code string) (outcome, error) {
	var got outcome
	stream, err := s.python.Run(ctx, &sandgatev1.RunRequest{SessionId: s.id, Code: code})
	if err != nil {
		return got, fmt.Errorf("run: %w", err)
	}
	for stream.Receive() {
		event := stream.Msg()
		if shown := event.GetDisplay(); shown.GetIsResult() {
			got.text = shown.GetText()
		}
		if result := event.GetResult(); result != nil {
			got.result = result
		}
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil {
		return got, fmt.Errorf("run: %w", err)
	}
	if status := got.result.GetStatus(); status != sandgatev1.Status_STATUS_OK {
		return got, fmt.Errorf("the code ended with %s: %s %s", status, got.result.GetNote(), got.result.GetError().GetTraceback())
	}
	return got, nil
}

// two asks for 1+1 by PythonService.Run.
func (s *session) two(ctx context.Context) error {
	got, err := s.run(ctx, "1+1")
	if err == nil && got.text != "2" {
		err = fmt.Errorf("1+1 was %.100q", got.text)
	}
	return err
}

// callTwo asks for 1+1 by ToolService.CallTool.
func (s *session) callTwo(ctx context.Context) error {
	arguments := &structpb.Struct{Fields: map[string]*structpb.Value{"code": structpb.NewStringValue("1+1")}}
	reply, err := s.tools.CallTool(ctx, &sandgatev1.CallToolRequest{SessionId: s.id, Name: "python_run", Arguments: arguments})
	if err != nil {
		return fmt.Errorf("call the tool python_run: %w", err)
	}
	if content := reply.GetContent(); len(content) != 1 || content[0].GetText() != "2" {
		return fmt.Errorf("1+1 was %.200v", content)
	}
	return nil
}

// inside returns the median, in milliseconds, of what n cells say of themselves: the time from the
// guest's start of the cell to its end, without gateway and channel.
func (s *session) inside(ctx context.Context, n int) (float64, error) {
	times := make([]float64, 0, n)
	for range n {
		got, err := s.run(ctx, "1+1")
		if err != nil {
			return 0, err
		}
		times = append(times, millis(got.result.GetReceipt().GetWall().AsDuration()))
	}
	return median(times), nil
}

// smallLimits are those of a session of which many are wanted.
func smallLimits() *sandgatev1.Limits {
	return &sandgatev1.Limits{MemoryBytes: 256 << 20, WorkspaceBytes: 64 << 20}
}

// longCall bounds a call that is expected to take long.
const longCall = 5 * time.Minute
