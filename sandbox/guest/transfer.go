package guest

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/piece"
)

// transferChunk is how much of a file is read at once where it is only looked at, and of an archive sent.
const transferChunk = 64 << 10

// Upload writes a file from a stream.
func (s *fileService) Upload(ctx context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
	if !stream.Receive() {
		if err := stream.Err(); err != nil {
			return nil, err
		}
		return nil, errNoHeader()
	}
	header := stream.Msg().GetHeader()
	if header == nil {
		return nil, errNoHeader()
	}
	path, err := s.guest.checked(header.GetPath())
	if err != nil {
		return nil, err
	}
	info, err := s.receive(ctx, path, header.GetMode(), stream)
	if err != nil {
		return nil, fileError(path, err)
	}
	return &sandgatev1.UploadResponse{File: info}, nil
}

// receive writes the rest of a stream to a file. Unlike a small write it is not done as the user as
// a whole: it lasts as long as the caller takes.
func (s *fileService) receive(ctx context.Context, path string, mode uint32, stream *connect.ClientStream[sandgatev1.UploadRequest]) (info *sandgatev1.FileInfo, err error) {
	var p pending
	err = s.guest.asUser(ctx, func() (err error) {
		p, err = s.prepare(path, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	for err == nil && stream.Receive() {
		if stream.Msg().GetHeader() != nil {
			err = fail(connect.CodeInvalidArgument, "SECOND_HEADER", "send the header once", "an upload has one header")
			break
		}
		_, err = p.file.Write(stream.Msg().GetData())
		piece.Free(stream.Msg().GetData())
	}
	if err == nil {
		err = stream.Err()
	}
	if err == nil {
		info, err = openInfo(path, p.file)
	}
	return info, s.guest.user.do(s.guest.ctx, func() error { // also when the caller has left
		s.guest.home.unlock() // much may have happened since it began
		return p.finish(err)
	})
}

func errNoHeader() error {
	return fail(connect.CodeInvalidArgument, "NO_HEADER", "send the header first", "an upload begins with its header")
}

// Download streams a file.
func (s *fileService) Download(ctx context.Context, req *sandgatev1.DownloadRequest, stream *connect.ServerStream[sandgatev1.DownloadResponse]) error {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return err
	}
	file, size, err := s.open(ctx, path)
	if err != nil {
		return fileError(path, err)
	}
	defer closeAll(file)
	offset := max(req.GetOffset(), 0)
	length := max(size-offset, 0) // what was announced, however much it grows meanwhile
	if asked := req.GetLength(); asked > 0 {
		length = min(length, asked)
	}
	body := io.NewSectionReader(file, offset, length)
	message := &sandgatev1.DownloadResponse{TotalSize: size}
	buf := make([]byte, min(piece.Bytes, max(length, 1)))
	for first := true; ; first = false {
		n, err := io.ReadFull(body, buf)
		if n > 0 || first {
			message.Data = buf[:n]
			if err := stream.Send(message); err != nil {
				return err
			}
			message.TotalSize = 0
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fileError(path, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
