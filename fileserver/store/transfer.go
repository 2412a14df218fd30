package store

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Upload writes a file from a stream. Nothing waits for it: the file is written where nobody sees it.
func (w *Workspace) Upload(_ context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
	if !stream.Receive() && stream.Err() != nil {
		return nil, stream.Err()
	}
	header := stream.Msg().GetHeader()
	if header == nil {
		return nil, errNoHeader("an upload")
	}
	info, err := on(w, header.GetPath(), func(v *view, path string) (*sandgatev1.FileInfo, error) {
		return v.replace(path, header.GetMode(), func(s *staged) error {
			for stream.Receive() {
				if stream.Msg().GetHeader() != nil {
					return errSecondHeader("an upload")
				}
				if _, err := s.Write(stream.Msg().GetData()); err != nil {
					return err
				}
			}
			return stream.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	return &sandgatev1.UploadResponse{File: info}, nil
}

func errNoHeader(what string) error {
	return fail(connect.CodeInvalidArgument, "NO_HEADER", "send the header first", "%s begins with its header", what)
}

func errSecondHeader(what string) error {
	return fail(connect.CodeInvalidArgument, "SECOND_HEADER", "send the header once", "%s has one header", what)
}

// Download streams a file.
func (w *Workspace) Download(ctx context.Context, req *sandgatev1.DownloadRequest, stream *connect.ServerStream[sandgatev1.DownloadResponse]) error {
	_, err := on(w, req.GetPath(), func(v *view, path string) (struct{}, error) {
		return struct{}{}, v.download(ctx, path, req, stream.Send)
	})
	return err
}

func (v *view) download(ctx context.Context, path string, req *sandgatev1.DownloadRequest, send func(*sandgatev1.DownloadResponse) error) error {
	file, size, err := v.open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	length := req.GetLength()
	if length <= 0 {
		length = size
	}
	body := io.NewSectionReader(file, max(req.GetOffset(), 0), length)
	message := &sandgatev1.DownloadResponse{TotalSize: size}
	buf := make([]byte, chunk)
	for first := true; ; first = false {
		n, err := io.ReadFull(body, buf)
		if n > 0 || first {
			message.Data = buf[:n]
			if err := send(message); err != nil {
				return err
			}
			message.TotalSize = 0
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}
