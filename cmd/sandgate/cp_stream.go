package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// uploadPiece is how much of a file one message carries.
const uploadPiece = 256 << 10

// upload is what is sent.
type upload struct {
	content io.Reader
	size    int64 // for the progress; negative: not known
	mode    uint32
}

// uploadFile sends a local file.
func (c *copier) uploadFile(ctx context.Context, name string, destination location) error {
	f, err := os.Open(name)
	if err != nil {
		return localError(err)
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	return c.upload(ctx, destination, upload{content: f, size: info.Size(), mode: uint32(fileMode(uint32(info.Mode().Perm())))})
}

// upload sends content as one file.
func (c *copier) upload(ctx context.Context, destination location, what upload) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // an upload that is left half way leaves no file
	stream, err := c.client.files.Upload(ctx)
	if err != nil {
		return err
	}
	sendErr := stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{
		SessionId: destination.session, Path: destination.path, Mode: what.mode,
	}}})
	progress := c.app.progress(destination.path, what.size)
	defer progress.Close()
	buffer := make([]byte, uploadPiece)
	for sendErr == nil {
		n, readErr := io.ReadFull(what.content, buffer)
		if n > 0 {
			sendErr = stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: buffer[:n]}})
			progress.add(n)
		}
		if errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF) {
			break
		}
		if readErr != nil {
			cancel()
			return fmt.Errorf("read what to copy: %w", readErr)
		}
	}
	if sendErr != nil && !errors.Is(sendErr, io.EOF) {
		return sendErr
	}
	// After io.EOF from Send this is where the gateway's own error is.
	_, err = stream.CloseAndReceive()
	return err
}

// download copies a remote file to w. One that comes to an end too early is an error.
func (c *copier) download(ctx context.Context, source location, w io.Writer, size int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.client.files.Download(ctx, &sandgatev1.DownloadRequest{SessionId: source.session, Path: source.path})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // everything that matters was received
	progress := c.app.progress(source.path, size)
	defer progress.Close()
	total, received := int64(-1), int64(0)
	for stream.Receive() {
		if total < 0 {
			total = stream.Msg().GetTotalSize()
		}
		n, err := w.Write(stream.Msg().GetData())
		if err != nil {
			return fmt.Errorf("write what was copied: %w", err)
		}
		received += int64(n)
		progress.add(n)
	}
	if err := stream.Err(); err != nil {
		return err
	}
	if received < total {
		return fmt.Errorf("%s ended after %d of %d bytes: it shrank while it was read", source.path, received, total)
	}
	return nil
}

// isPathMissing reports whether an error says that a path does not exist, rather than a session.
func isPathMissing(err error) bool {
	return connect.CodeOf(err) == connect.CodeNotFound && errorReason(err) != "SESSION_NOT_FOUND"
}

// errorReason is the stable identifier in an error's detail, if it has one.
func errorReason(err error) string {
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return ""
	}
	for _, detail := range wire.Details() {
		value, valueErr := detail.Value()
		if known, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
			return known.GetReason()
		}
	}
	return ""
}
