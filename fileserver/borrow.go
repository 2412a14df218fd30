package fileserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// borrow copies a file or directory of a library into a session.
func (f *Files) borrow(ctx context.Context, req *sandgatev1.CopyRequest) (*sandgatev1.CopyResponse, error) {
	source, err := f.Stat(ctx, &sandgatev1.StatRequest{SessionId: req.GetSessionId(), Path: req.GetSource()})
	if err != nil {
		return nil, err
	}
	there, err := f.inTheWay(ctx, req)
	if err != nil {
		return nil, err
	}
	var res *sandgatev1.CopyResponse
	switch source.GetFile().GetType() {
	case sandgatev1.FileType_FILE_TYPE_FILE:
		if there.GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY {
			_, err = f.Remove(ctx, &sandgatev1.RemoveRequest{SessionId: req.GetSessionId(), Path: req.GetDestination()}) // an empty one
		}
		if err == nil {
			res, err = f.borrowFile(ctx, req, source.GetFile())
		}
	case sandgatev1.FileType_FILE_TYPE_DIRECTORY:
		res, err = f.borrowBeside(ctx, req, there)
	default:
		return nil, guestrpc.NewError(connect.CodeInvalidArgument, fmt.Errorf("%q is neither a file nor a directory", req.GetSource()),
			"NOT_A_FILE", "Copy files and directories.")
	}
	if err != nil {
		return nil, err
	}
	made, err := f.Stat(ctx, &sandgatev1.StatRequest{SessionId: req.GetSessionId(), Path: req.GetDestination()})
	if err != nil {
		return nil, err
	}
	res.File = made.GetFile()
	return res, nil
}

// inTheWay returns what is at the destination, nil for nothing. It fails where that may not be replaced.
func (f *Files) inTheWay(ctx context.Context, req *sandgatev1.CopyRequest) (*sandgatev1.FileInfo, error) {
	there, err := f.Stat(ctx, &sandgatev1.StatRequest{SessionId: req.GetSessionId(), Path: req.GetDestination()})
	if connect.CodeOf(err) == connect.CodeNotFound { // the session is there: it was asked for the source
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	if err != nil {
		return nil, err
	}
	if !req.GetOverwrite() {
		return nil, guestrpc.NewError(connect.CodeAlreadyExists, fmt.Errorf("%q exists", req.GetDestination()),
			"FILE_EXISTS", "Choose another destination, or set overwrite.")
	}
	return there.GetFile(), nil
}

// borrowBeside copies a directory beside its place, and moves it there when it is whole: what is in the way is kept
// until then.
func (f *Files) borrowBeside(ctx context.Context, req *sandgatev1.CopyRequest, there *sandgatev1.FileInfo) (*sandgatev1.CopyResponse, error) {
	session, destination := req.GetSessionId(), strings.TrimRight(req.GetDestination(), "/")
	beside := path.Join(path.Dir(destination), unfinished+rand.Text())
	res, err := f.borrowTree(ctx, &sandgatev1.CopyRequest{SessionId: session, Source: req.GetSource(), Destination: beside})
	if err == nil && there != nil {
		_, err = f.Remove(ctx, &sandgatev1.RemoveRequest{SessionId: session, Path: destination}) // a file, or an empty directory
	}
	if err == nil {
		_, err = f.Move(ctx, &sandgatev1.MoveRequest{SessionId: session, Source: beside, Destination: destination})
	}
	if err != nil {
		_, _ = f.Remove(context.WithoutCancel(ctx), &sandgatev1.RemoveRequest{SessionId: session, Path: beside, Recursive: true})
		return nil, err
	}
	return res, nil
}

// borrowFile copies one file.
func (f *Files) borrowFile(ctx context.Context, req *sandgatev1.CopyRequest, source *sandgatev1.FileInfo) (*sandgatev1.CopyResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	ask := &sandgatev1.DownloadRequest{SessionId: req.GetSessionId(), Path: req.GetSource()}
	content := Piped(func(to io.Writer) error {
		return f.Download(ctx, ask, func(piece *sandgatev1.DownloadResponse) error {
			_, err := to.Write(piece.GetData())
			return err
		})
	})
	defer func() {
		cancel()
		_ = content.Close()
	}()
	header := &sandgatev1.UploadHeader{SessionId: req.GetSessionId(), Path: req.GetDestination(), Mode: source.GetMode() & 0o777}
	res, err := f.uploadFrom(ctx, header, content)
	return &sandgatev1.CopyResponse{Files: 1, Bytes: res.GetFile().GetSize()}, err
}

// borrowTree copies a directory with everything in it.
func (f *Files) borrowTree(ctx context.Context, req *sandgatev1.CopyRequest) (*sandgatev1.CopyResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	ask := &sandgatev1.ExportRequest{SessionId: req.GetSessionId(), Path: req.GetSource()}
	archive := Piped(func(to io.Writer) error {
		return f.Export(ctx, ask, func(piece *sandgatev1.ExportResponse) error {
			_, err := to.Write(piece.GetData())
			return err
		})
	})
	defer func() {
		cancel()
		_ = archive.Close()
	}()
	res, err := f.Unpack(ctx, &sandgatev1.ImportHeader{SessionId: req.GetSessionId(), Path: req.GetDestination()}, archive)
	return &sandgatev1.CopyResponse{Files: res.GetFiles(), Directories: res.GetDirectories() + 1, Bytes: res.GetBytes()}, err
}
