package fileserver

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/piece"
)

// maxPieceBytes bounds the pieces in which a download reaches its caller.
const maxPieceBytes = 64 << 10

var (
	// errEnded says that a guest ended a stream that only its caller ends.
	errEnded = errors.New("the stream ended before its time")
	// errOverlong says that a guest sent more of a file than it has, or than was asked for.
	errOverlong = errors.New("it sent more of the file than there is")
)

// Watch gives send the changes in a directory until ctx ends, or the sandbox.
func (f *Files) Watch(ctx context.Context, req *sandgatev1.WatchRequest, send func(*sandgatev1.WatchResponse) error) error {
	sb, err := f.at(req.GetPath()).Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return err
	}
	callCtx, c := guestrpc.Begin(ctx, sb, tooLarge)
	defer c.End()
	var stream *connect.ServerStreamForClient[sandgatev1.WatchResponse]
	err = c.Waiting(func() (err error) {
		stream, err = f.guest.Watch(callCtx, guestrpc.ForGuest(req))
		return err
	})
	if err != nil {
		return c.Why(ctx, callCtx, err)
	}
	defer closeStream(c, stream)
	for stream.Receive() {
		if event := stream.Msg(); cleanWatch(event) {
			if err := send(event); err != nil {
				return err
			}
		}
	}
	return c.Why(ctx, callCtx, endOf(stream, errEnded))
}

// Download gives send a file, or a range of it, in pieces of at most 64 KiB, which it must not keep; the first
// message, which is always sent, tells the size of the whole.
func (f *Files) Download(ctx context.Context, req *sandgatev1.DownloadRequest, send func(*sandgatev1.DownloadResponse) error) error {
	sb, err := f.at(req.GetPath()).Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return err
	}
	callCtx, c := guestrpc.Begin(ctx, sb, tooLarge)
	defer c.End()
	var stream *connect.ServerStreamForClient[sandgatev1.DownloadResponse]
	err = c.Waiting(func() (err error) {
		stream, err = f.guest.Download(callCtx, guestrpc.ForGuest(req))
		return err
	})
	if err != nil {
		return c.Why(ctx, callCtx, err)
	}
	defer closeStream(c, stream)
	d := download{req: req, send: send}
	for c.Waiting(func() error { return next(stream) }) == nil {
		err := d.pass(stream.Msg())
		piece.Free(stream.Msg().GetData())
		if err != nil {
			return err
		}
	}
	if err := stream.Err(); err != nil {
		return c.Why(ctx, callCtx, err)
	}
	if callCtx.Err() != nil || !d.begun {
		return c.Why(ctx, callCtx, errEnded)
	}
	return nil
}

// download is the state of one download.
type download struct {
	req   *sandgatev1.DownloadRequest
	send  func(*sandgatev1.DownloadResponse) error
	begun bool
	total int64
	// left is how many bytes may still come.
	left int64
}

// pass sends on what a message holds, in pieces of the promised size.
func (d *download) pass(message *sandgatev1.DownloadResponse) error {
	if !d.begun {
		d.begun = true
		d.total = max(message.GetTotalSize(), 0)
		d.left = max(d.total-d.req.GetOffset(), 0)
		if asked := d.req.GetLength(); asked > 0 {
			d.left = min(d.left, asked)
		}
	} else {
		d.total = 0
	}
	data := message.GetData()
	if int64(len(data)) > d.left {
		return guestrpc.Broken(errOverlong)
	}
	d.left -= int64(len(data))
	for first := true; first || len(data) > 0; first = false {
		size := min(len(data), maxPieceBytes)
		piece := &sandgatev1.DownloadResponse{Data: data[:size:size]}
		if first {
			piece.TotalSize = d.total
		}
		if err := d.send(piece); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// Upload writes a file from the requests that recv returns: a header, then pieces, then an error
// that wraps io.EOF. If recv fails, or ctx ends, the file does not appear.
func (f *Files) Upload(ctx context.Context, recv func() (*sandgatev1.UploadRequest, error)) (*sandgatev1.UploadResponse, error) {
	first, err := recv()
	if errors.Is(err, io.EOF) || (err == nil && first.GetHeader() == nil) {
		return nil, badUpload("The first message is the header.")
	}
	if err != nil {
		return nil, err
	}
	sb, err := f.at(first.GetHeader().GetPath()).Sandbox(ctx, first.GetHeader().GetSessionId())
	if err != nil {
		return nil, err
	}
	callCtx, c := guestrpc.Begin(ctx, sb, tooLarge)
	// Ending the call resets the stream, unless it ended well: so a broken upload leaves no file.
	defer c.End()
	stream, err := f.guest.Upload(callCtx)
	if err != nil {
		return nil, c.Why(ctx, callCtx, err)
	}
	send := func(piece *sandgatev1.UploadRequest) error {
		return c.Waiting(func() error { return stream.Send(piece) })
	}
	header := &sandgatev1.UploadHeader{Path: first.GetHeader().GetPath(), Mode: first.GetHeader().GetMode()}
	sent := send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: header}})
	if sent == nil {
		if sent, err = passPieces(recv, isUploadHeader, send); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
	var res *sandgatev1.UploadResponse
	err = c.Waiting(func() (err error) {
		res, err = stream.CloseAndReceive()
		return err
	})
	if err == nil && sent != nil {
		err = errEnded // The guest claims success without having taken everything.
	}
	if err != nil {
		return nil, c.Why(ctx, callCtx, err)
	}
	res.File = cleanInfo(res.GetFile())
	return res, nil
}

// uploadFrom is Upload of what the host has.
func (f *Files) uploadFrom(ctx context.Context, header *sandgatev1.UploadHeader, content io.Reader) (*sandgatev1.UploadResponse, error) {
	first := &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: header}}
	return f.Upload(ctx, headed(first, content, func(data []byte) *sandgatev1.UploadRequest {
		return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: data}}
	}))
}

// passPieces sends what recv returns until its end. Refused is why the guest took no more; err is
// for the caller.
func passPieces[Req any](recv func() (Req, error), isHeader func(Req) bool, send func(Req) error) (refused, err error) {
	for {
		piece, err := recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, nil
		case err != nil:
			return nil, err
		case isHeader(piece):
			return nil, badUpload("There is one header; everything after it is data.")
		}
		if err := send(piece); err != nil {
			return err, nil
		}
	}
}

func isUploadHeader(piece *sandgatev1.UploadRequest) bool { return piece.GetHeader() != nil }

// badUpload is the error of a stream whose messages are out of order.
func badUpload(hint string) error {
	return guestrpc.NewError(connect.CodeInvalidArgument, errors.New("the messages are out of order"), "INVALID_UPLOAD", hint)
}

// receiver is a stream of messages from a guest.
type receiver interface {
	Receive() bool
	Err() error
}

// next waits for the next message; io.EOF stands for the end, whatever its reason.
func next(stream receiver) error {
	if stream.Receive() {
		return nil
	}
	return io.EOF
}

// endOf returns why a stream ended, otherwise if it ended without an error.
func endOf(stream receiver, otherwise error) error {
	if err := stream.Err(); err != nil {
		return err
	}
	return otherwise
}

// closeStream closes a stream whose end nobody needs to know. The call is stopped first, so that
// closing cannot wait for the guest.
func closeStream(c *guestrpc.Call, stream io.Closer) {
	c.Stop()
	_ = stream.Close()
}
