package loopback

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// uploads is an API whose uploads say how they ended, and are refused where nothing is called "refused".
type uploads struct {
	sandgatev1connect.UnimplementedFileServiceHandler
	ended chan error
}

func (u *uploads) Upload(_ context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
	for stream.Receive() {
		if stream.Msg().GetHeader().GetPath() == "refused" {
			return nil, connect.NewError(connect.CodeResourceExhausted, errors.New("no room"))
		}
	}
	u.ended <- stream.Err()
	return &sandgatev1.UploadResponse{}, stream.Err()
}

func header(path string) *sandgatev1.UploadRequest {
	return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: path}}}
}

func piece() *sandgatev1.UploadRequest {
	return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: make([]byte, 1<<16)}}
}

// TestUploadsEnd ends streams of requests in every way: one that was left half way does not look whole,
// and one that is refused half way tells its sender.
func TestUploadsEnd(t *testing.T) {
	u := &uploads{ended: make(chan error, 1)}
	_, handler := sandgatev1connect.NewFileServiceHandler(u)
	files := sandgatev1connect.NewFileServiceClient(&Client{Handler: handler}, "http://localhost")
	for range 50 { // the ends race
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := files.Upload(ctx)
		if err == nil {
			err = errors.Join(stream.Send(header("left")), stream.Send(piece()))
		}
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-u.ended; err == nil {
			t.Fatal("half an upload looked whole")
		}
		if stream, err = files.Upload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for err = stream.Send(header("refused")); err == nil; {
			err = stream.Send(piece())
		}
		if _, refused := stream.CloseAndReceive(); !errors.Is(err, io.EOF) || connect.CodeOf(refused) != connect.CodeResourceExhausted {
			t.Fatalf("%v, %v", err, refused)
		}
	}
	stream, err := files.Upload(t.Context())
	if err == nil {
		err = errors.Join(stream.Send(header("whole")), stream.Send(piece()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CloseAndReceive(); err != nil {
		t.Error(err)
	}
	if err := <-u.ended; err != nil {
		t.Error(err)
	}
}

// TestPipe writes more than there is room for, and ends it from either side.
func TestPipe(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), pipeRoom/3)
	p := newPipe()
	go func() {
		if n, err := p.Write(data); n != len(data) || err != nil {
			t.Errorf("%d of %d, %v", n, len(data), err)
		}
		p.end(errBroken)
		p.end(io.EOF) // too late
	}()
	if got, err := io.ReadAll(iotest.OneByteReader(p)); !bytes.Equal(got, data) || !errors.Is(err, errBroken) {
		t.Errorf("%d of %d, %v", len(got), len(data), err)
	}
	if _, err := p.Write(data); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a write behind the end: %v", err)
	}
	p = newPipe()
	written := make(chan error, 1)
	go func() {
		_, err := p.Write(data)
		written <- err
	}()
	if _, err := io.ReadFull(p, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	p.leave()
	if err := <-written; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a write that nobody reads: %v", err)
	}
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a read of somebody who left: %v", err)
	}
}

var errBroken = errors.New("broken")
