package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// api are the services of a gateway that the story needs: the generated clients, nothing else.
type api struct {
	sessions sandgatev1connect.SessionServiceClient
	python   sandgatev1connect.PythonServiceClient
	files    sandgatev1connect.FileServiceClient
}

// newAPI returns clients of the gateway at a URL, which show it a key unless that is empty.
func newAPI(url, key string) *api {
	keyed := connect.WithInterceptors(bearer(key))
	return &api{
		sessions: sandgatev1connect.NewSessionServiceClient(http.DefaultClient, url, keyed),
		python:   sandgatev1connect.NewPythonServiceClient(http.DefaultClient, url, keyed),
		files:    sandgatev1connect.NewFileServiceClient(http.DefaultClient, url, keyed),
	}
}

// upload sends content as one file, in pieces.
func (a *api) upload(ctx context.Context, session, path string, content io.Reader) (*sandgatev1.FileInfo, error) {
	stream, err := a.files.Upload(ctx)
	if err != nil {
		return nil, err
	}
	header := &sandgatev1.UploadHeader{SessionId: session, Path: path}
	err = stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: header}})
	buffer := make([]byte, 256<<10)
	for err == nil {
		n, readErr := content.Read(buffer)
		if n > 0 {
			err = stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: buffer[:n]}})
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return nil, readErr
		}
	}
	if err != nil && !errors.Is(err, io.EOF) { // after io.EOF the reply says what went wrong
		return nil, err
	}
	reply, err := stream.CloseAndReceive()
	return reply.GetFile(), err
}

// cell is what one run of Python produced.
type cell struct {
	stdout, stderr bytes.Buffer
	displays       []*sandgatev1.Display
	result         *sandgatev1.RunResult
}

// run runs Python and collects its events. Code that fails is an error here, because the story's
// code should not.
func (a *api) run(ctx context.Context, session, code string) (*cell, error) {
	stream, err := a.python.Run(ctx, &sandgatev1.RunRequest{SessionId: session, Code: code})
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }() // its error is in stream.Err
	got := &cell{}
	for stream.Receive() {
		switch event := stream.Msg(); {
		case event.GetStdout() != nil:
			got.stdout.Write(event.GetStdout().GetData())
		case event.GetStderr() != nil:
			got.stderr.Write(event.GetStderr().GetData())
		case event.GetDisplay() != nil:
			got.displays = append(got.displays, event.GetDisplay())
		case event.GetResult() != nil:
			got.result = event.GetResult()
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	if status := got.result.GetStatus(); status != sandgatev1.Status_STATUS_OK {
		return nil, fmt.Errorf("the code ended with %s\n%s%s", status, got.result.GetError().GetTraceback(), got.result.GetNote())
	}
	return got, nil
}
