// Package fileserver serves FileService on the host's side of the wall: it finds the sandbox of a
// session, and has the guest inside do the work as the sandbox's unprivileged user. It opens no path
// itself. It believes the guest nothing that it can check, keeps no more of a stream than one
// message, and never repeats a call.
package fileserver

import (
	"context"
	"errors"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxMessageBytes bounds one message of a guest: the largest honest one is a page of 10,000 long paths.
	maxMessageBytes = 20 << 20
	// tooLarge is the hint for a caller whose answer was beyond every bound.
	tooLarge = "Ask for less at a time: a range of the file, or a smaller page of the directory."
)

// Files is the host's side of FileService. Its methods may be called by any number of goroutines;
// their errors are *connect.Errors. Requests must have passed validation.
type Files struct {
	sandboxes guestrpc.Sandboxes
	libraries sandbox.Sandbox // nil: there are none
	guest     sandgatev1connect.FileServiceClient
}

// New returns a Files that finds its sandboxes in sandboxes.
func New(sandboxes guestrpc.Sandboxes) *Files {
	return &Files{
		sandboxes: sandboxes,
		guest:     sandgatev1connect.NewFileServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(maxMessageBytes)...),
	}
}

// unary makes one call that has one reply to the guest of a session.
func unary[Req guestrpc.Request, Res any](
	ctx context.Context, sandboxes guestrpc.Sandboxes, req Req, do func(context.Context, Req) (Res, error),
) (Res, error) {
	return guestrpc.Unary(ctx, sandboxes, req, do, tooLarge)
}

// Read reads a file, or a range of it.
func (f *Files) Read(ctx context.Context, req *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error) {
	res, err := unary(ctx, f.at(req.GetPath()), req, f.guest.Read)
	if err != nil {
		return nil, err
	}
	if !cleanRead(res, req) {
		return nil, guestrpc.Broken(errors.New("it sent more of the file than was asked for"))
	}
	return res, nil
}

// Write writes a file.
func (f *Files) Write(ctx context.Context, req *sandgatev1.WriteRequest) (*sandgatev1.WriteResponse, error) {
	res, err := unary(ctx, f.at(req.GetPath()), req, f.guest.Write)
	if err == nil {
		res.File = cleanInfo(res.GetFile())
	}
	return res, err
}

// Edit replaces a piece of a text file.
func (f *Files) Edit(ctx context.Context, req *sandgatev1.EditRequest) (*sandgatev1.EditResponse, error) {
	res, err := unary(ctx, f.at(req.GetPath()), req, f.guest.Edit)
	if err == nil {
		res.File = cleanInfo(res.GetFile())
		res.Replaced = max(res.GetReplaced(), 0)
		res.Preview = guestrpc.Clip(res.GetPreview(), maxPreviewBytes)
	}
	return res, err
}

// ListFiles lists a directory, in pages.
func (f *Files) ListFiles(ctx context.Context, req *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
	res, err := unary(ctx, f.at(req.GetPath()), req, f.guest.ListFiles)
	if err != nil {
		return nil, err
	}
	if !cleanList(res, req) {
		return nil, guestrpc.Broken(errors.New("it sent more of the directory than was asked for"))
	}
	return res, nil
}

// Stat describes a file.
func (f *Files) Stat(ctx context.Context, req *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	res, err := unary(ctx, f.at(req.GetPath()), req, f.guest.Stat)
	if err == nil {
		res.File = cleanInfo(res.GetFile())
	}
	return res, err
}

// Move moves or renames a file or directory.
func (f *Files) Move(ctx context.Context, req *sandgatev1.MoveRequest) (*sandgatev1.MoveResponse, error) {
	res, err := unary(ctx, f.at(req.GetSource(), req.GetDestination()), req, f.guest.Move)
	if err == nil {
		res.File = cleanInfo(res.GetFile())
	}
	return res, err
}

// Remove removes a file or directory.
func (f *Files) Remove(ctx context.Context, req *sandgatev1.RemoveRequest) (*sandgatev1.RemoveResponse, error) {
	return unary(ctx, f.at(req.GetPath()), req, f.guest.Remove)
}

// MakeDir makes a directory and those above it.
func (f *Files) MakeDir(ctx context.Context, req *sandgatev1.MakeDirRequest) (*sandgatev1.MakeDirResponse, error) {
	res, err := unary(ctx, f.at(req.GetPath()), req, f.guest.MakeDir)
	if err == nil {
		res.File = cleanInfo(res.GetFile())
	}
	return res, err
}
