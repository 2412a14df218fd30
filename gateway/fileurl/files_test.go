package fileurl_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// files are those of the sessions. Some names behave.
type files struct {
	sessions *gateway.Sessions
	ended    chan error // gets how each upload ended

	mu      sync.Mutex
	content map[string][]byte // guarded by mu
}

func (f *files) put(session, path, content string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content[session+":"+path] = []byte(content)
}

func (f *files) get(session, path string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, ok := f.content[session+":"+path]
	return string(content), ok
}

// zeros is how long the file of that name is.
const zeros = 1 << 30

func (f *files) Download(ctx context.Context, req *sandgatev1.DownloadRequest, send func(*sandgatev1.DownloadResponse) error) error {
	if _, err := f.sessions.Sandbox(ctx, req.GetSessionId()); err != nil {
		return err
	}
	content, ok := f.get(req.GetSessionId(), req.GetPath())
	total := int64(len(content))
	if req.GetPath() == "zeros" {
		total = zeros
	} else if !ok {
		return gateway.Errorf(connect.CodeNotFound, "PATH_NOT_FOUND", "List /home/user.", "/home/user/%s: there is no such file", req.GetPath())
	}
	length := min(max(total-req.GetOffset(), 0), total)
	if req.GetLength() > 0 {
		length = min(length, req.GetLength())
	}
	announced := total
	switch {
	case req.GetLength() == 1: // a first look
	case req.GetPath() == "shrinks":
		length /= 2
	case req.GetPath() == "fails":
		length /= 2
		defer func() { panic("a fault") }()
	case req.GetPath() == "grows":
		content, length = content+content, length*2
	case req.GetPath() == "shrank": // between two looks
		announced = 2
		content, length = content[:2], max(2-req.GetOffset(), 0)
	}
	message := &sandgatev1.DownloadResponse{TotalSize: announced}
	piece := make([]byte, 64<<10)
	for at, first := req.GetOffset(), true; first || length > 0; first = false {
		n := min(length, int64(len(piece)))
		if req.GetPath() != "zeros" && n > 0 {
			copy(piece, content[at:at+n])
		}
		message.Data = piece[:n]
		if err := send(message); err != nil {
			return err
		}
		message = &sandgatev1.DownloadResponse{}
		at, length = at+n, length-n
	}
	return nil
}

func (f *files) Upload(ctx context.Context, recv func() (*sandgatev1.UploadRequest, error)) (_ *sandgatev1.UploadResponse, err error) {
	defer func() { f.ended <- err }()
	first, err := recv()
	if err != nil {
		return nil, err
	}
	header := first.GetHeader()
	if _, err := f.sessions.Sandbox(ctx, header.GetSessionId()); err != nil {
		return nil, err
	}
	var content bytes.Buffer
	size := int64(0)
	for {
		req, err := recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		size += int64(len(req.GetData()))
		if header.GetPath() == "full" && size > 1<<20 {
			return nil, gateway.Errorf(connect.CodeResourceExhausted, "NO_SPACE", "Remove something.", "the workspace is full")
		}
		if header.GetPath() != "zeros" {
			_, _ = content.Write(req.GetData())
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	f.put(header.GetSessionId(), header.GetPath(), content.String())
	return &sandgatev1.UploadResponse{File: &sandgatev1.FileInfo{Path: header.GetPath(), Size: size}}, nil
}
