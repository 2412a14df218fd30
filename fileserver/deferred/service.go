package deferred

import (
	"context"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// filesKey is the key of the workspace in the context of a request.
type filesKey struct{}

// withFiles returns a context whose requests are about a workspace.
func withFiles(ctx context.Context, files *store.Workspace) context.Context {
	return context.WithValue(ctx, filesKey{}, files)
}

// filesOf returns the workspace that a request is about. There always is one.
func filesOf(ctx context.Context) *store.Workspace {
	files, _ := ctx.Value(filesKey{}).(*store.Workspace)
	return files
}

// service is FileService for every workspace: which one is in the context. So ten thousand workspaces do with
// one handler, which is as large as a hundred of them. What the host does by itself is not served.
type service struct {
	sandgatev1connect.UnimplementedFileServiceHandler
}

func (service) Read(ctx context.Context, req *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error) {
	return filesOf(ctx).Read(ctx, req)
}

func (service) Write(ctx context.Context, req *sandgatev1.WriteRequest) (*sandgatev1.WriteResponse, error) {
	return filesOf(ctx).Write(ctx, req)
}

func (service) Edit(ctx context.Context, req *sandgatev1.EditRequest) (*sandgatev1.EditResponse, error) {
	return filesOf(ctx).Edit(ctx, req)
}

func (service) ListFiles(ctx context.Context, req *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
	return filesOf(ctx).ListFiles(ctx, req)
}

func (service) Stat(ctx context.Context, req *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	return filesOf(ctx).Stat(ctx, req)
}

func (service) Move(ctx context.Context, req *sandgatev1.MoveRequest) (*sandgatev1.MoveResponse, error) {
	return filesOf(ctx).Move(ctx, req)
}

func (service) Remove(ctx context.Context, req *sandgatev1.RemoveRequest) (*sandgatev1.RemoveResponse, error) {
	return filesOf(ctx).Remove(ctx, req)
}

func (service) MakeDir(ctx context.Context, req *sandgatev1.MakeDirRequest) (*sandgatev1.MakeDirResponse, error) {
	return filesOf(ctx).MakeDir(ctx, req)
}

func (service) Glob(ctx context.Context, req *sandgatev1.GlobRequest) (*sandgatev1.GlobResponse, error) {
	return filesOf(ctx).Glob(ctx, req)
}

func (service) Grep(ctx context.Context, req *sandgatev1.GrepRequest) (*sandgatev1.GrepResponse, error) {
	return filesOf(ctx).Grep(ctx, req)
}

func (service) Tree(ctx context.Context, req *sandgatev1.TreeRequest) (*sandgatev1.TreeResponse, error) {
	return filesOf(ctx).Tree(ctx, req)
}

func (service) Copy(ctx context.Context, req *sandgatev1.CopyRequest) (*sandgatev1.CopyResponse, error) {
	return filesOf(ctx).Copy(ctx, req)
}

func (service) Hash(ctx context.Context, req *sandgatev1.HashRequest) (*sandgatev1.HashResponse, error) {
	return filesOf(ctx).Hash(ctx, req)
}

func (service) Diff(ctx context.Context, req *sandgatev1.DiffRequest) (*sandgatev1.DiffResponse, error) {
	return filesOf(ctx).Diff(ctx, req)
}

func (service) Patch(ctx context.Context, req *sandgatev1.PatchRequest) (*sandgatev1.PatchResponse, error) {
	return filesOf(ctx).Patch(ctx, req)
}

func (service) Watch(ctx context.Context, req *sandgatev1.WatchRequest, stream *connect.ServerStream[sandgatev1.WatchResponse]) error {
	return filesOf(ctx).Watch(ctx, req, stream)
}

func (service) Upload(ctx context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
	return filesOf(ctx).Upload(ctx, stream)
}

func (service) Download(ctx context.Context, req *sandgatev1.DownloadRequest, stream *connect.ServerStream[sandgatev1.DownloadResponse]) error {
	return filesOf(ctx).Download(ctx, req, stream)
}

func (service) Export(ctx context.Context, req *sandgatev1.ExportRequest, stream *connect.ServerStream[sandgatev1.ExportResponse]) error {
	return filesOf(ctx).Export(ctx, req, stream)
}

func (service) Import(ctx context.Context, stream *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error) {
	return filesOf(ctx).Import(ctx, stream)
}
