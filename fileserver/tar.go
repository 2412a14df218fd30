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

// Export gives send a directory, or a file, as a tar archive in pieces of at most 64 KiB, which it must not keep. What the guest says
// is in it is not looked at: it is the session's, as a download is.
func (f *Files) Export(ctx context.Context, req *sandgatev1.ExportRequest, send func(*sandgatev1.ExportResponse) error) error {
	sb, err := f.at(req.GetPath()).Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return err
	}
	callCtx, c := guestrpc.Begin(ctx, sb, tooLarge)
	defer c.End()
	var stream *connect.ServerStreamForClient[sandgatev1.ExportResponse]
	err = c.Waiting(func() (err error) {
		stream, err = f.guest.Export(callCtx, guestrpc.ForGuest(req))
		return err
	})
	if err != nil {
		return c.Why(ctx, callCtx, err)
	}
	defer closeStream(c, stream)
	for c.Waiting(func() error { return next(stream) }) == nil {
		for data := stream.Msg().GetData(); len(data) > 0; {
			size := min(len(data), maxPieceBytes)
			if err := send(&sandgatev1.ExportResponse{Data: data[:size:size]}); err != nil {
				return err
			}
			data = data[size:]
		}
		piece.Free(stream.Msg().GetData())
	}
	if err := stream.Err(); err != nil {
		return c.Why(ctx, callCtx, err)
	}
	if callCtx.Err() != nil {
		return c.Why(ctx, callCtx, errEnded)
	}
	return nil
}

// Import unpacks a tar archive from the requests that recv returns: a header, then pieces, then an error that
// wraps io.EOF. The guest takes it apart, within the session's walls.
func (f *Files) Import(ctx context.Context, recv func() (*sandgatev1.ImportRequest, error)) (*sandgatev1.ImportResponse, error) {
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
	defer c.End() // resets the stream, unless it ended well
	stream, err := f.guest.Import(callCtx)
	if err != nil {
		return nil, c.Why(ctx, callCtx, err)
	}
	send := func(piece *sandgatev1.ImportRequest) error {
		return c.Waiting(func() error { return stream.Send(piece) })
	}
	header := &sandgatev1.ImportHeader{Path: first.GetHeader().GetPath()}
	sent := send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Header{Header: header}})
	if sent == nil {
		isHeader := func(piece *sandgatev1.ImportRequest) bool { return piece.GetHeader() != nil }
		if sent, err = passPieces(recv, isHeader, send); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
	var res *sandgatev1.ImportResponse
	err = c.Waiting(func() (err error) {
		res, err = stream.CloseAndReceive()
		return err
	})
	if err == nil && sent != nil {
		err = errEnded // the guest claims success without having taken everything
	}
	if err != nil {
		return nil, c.Why(ctx, callCtx, err)
	}
	res.Files, res.Directories, res.Bytes = max(res.GetFiles(), 0), max(res.GetDirectories(), 0), max(res.GetBytes(), 0)
	return res, nil
}

// Unpack is Import of an archive that the host has.
func (f *Files) Unpack(ctx context.Context, header *sandgatev1.ImportHeader, archive io.Reader) (*sandgatev1.ImportResponse, error) {
	first := &sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Header{Header: header}}
	return f.Import(ctx, headed(first, archive, func(data []byte) *sandgatev1.ImportRequest {
		return &sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Data{Data: data}}
	}))
}
