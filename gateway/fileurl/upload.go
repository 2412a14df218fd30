package fileurl

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// uploadPiece is how much of a file one message carries.
const uploadPiece = 64 << 10

// upload writes the body of a request as a file. One that breaks off leaves none: its call ends without
// the end of the stream.
//
// It always answers that the file was made. Whether one was there is not for who may only write it.
func (h *Handler) upload(ctx context.Context, w http.ResponseWriter, r *http.Request, grant gateway.FileGrant) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := h.opts.Files.Upload(ctx)
	if err != nil {
		return forStrangers(err)
	}
	refused := stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{
		Header: &sandgatev1.UploadHeader{SessionId: grant.Session, Path: grant.Path},
	}})
	buffer := make([]byte, uploadPiece)
	for ended := false; refused == nil && !ended; {
		n, err := fill(r.Body, buffer)
		if ended = errors.Is(err, io.EOF); err != nil && !ended {
			return broken(err)
		}
		if n > 0 {
			refused = stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: buffer[:n]}})
		}
	}
	if refused != nil && !errors.Is(refused, io.EOF) {
		return forStrangers(refused)
	}
	// After io.EOF from Send this is where the gateway's own error is.
	if _, err := stream.CloseAndReceive(); err != nil {
		return forStrangers(err)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// fill reads until the buffer is full or the body ends. Unlike [io.ReadFull] it tells the end of a body,
// io.EOF, from one that broke off, whose error may be io.ErrUnexpectedEOF.
func fill(body io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = body.Read(buffer[n:])
		n += more
	}
	return n, err
}

// broken returns why a body could not be read to its end.
func broken(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &refusal{
			http.StatusRequestTimeout,
			gateway.Errorf(connect.CodeDeadlineExceeded, gateway.ReasonRequestBroken, "Send the file again, without a pause.", "the file did not come for too long"),
		}
	}
	return err // an RPC error already: the server's, of all bodies
}
