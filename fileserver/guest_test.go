package fileserver_test

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// compiled is where programs are kept between the tests of a run, which compiles them once.
var compiled string //nolint:gochecknoglobals // set once, before the tests

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	var err error
	if compiled, err = os.MkdirTemp("", "sandgate-wasm-*"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(compiled)
		os.Exit(code)
	}))
}

// updating reports whether the golden files should be rewritten.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// guest is a guest that does what a test says, good or evil.
type guest struct {
	sandgatev1connect.UnimplementedFileServiceHandler

	read     func(context.Context, *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error)
	list     func(context.Context, *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error)
	stat     func(context.Context) (*sandgatev1.StatResponse, error)
	watch    func(context.Context, func(*sandgatev1.WatchResponse) error) error
	download func(context.Context, func(*sandgatev1.DownloadResponse) error) error
	upload   func(context.Context, *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error)
	export   func(context.Context, func(*sandgatev1.ExportResponse) error) error
	bring    func(context.Context, *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error)
	reply    proto.Message // to every other call
}

// answer returns the guest's reply, if it is one to the call.
func answer[Res proto.Message](g *guest) (res Res, err error) {
	res, ok := g.reply.(Res)
	if !ok {
		return res, connect.NewError(connect.CodeUnimplemented, errors.New("not played"))
	}
	return res, nil
}

func (g *guest) Glob(context.Context, *sandgatev1.GlobRequest) (*sandgatev1.GlobResponse, error) {
	return answer[*sandgatev1.GlobResponse](g)
}

func (g *guest) Grep(context.Context, *sandgatev1.GrepRequest) (*sandgatev1.GrepResponse, error) {
	return answer[*sandgatev1.GrepResponse](g)
}

func (g *guest) Tree(context.Context, *sandgatev1.TreeRequest) (*sandgatev1.TreeResponse, error) {
	return answer[*sandgatev1.TreeResponse](g)
}

func (g *guest) Copy(context.Context, *sandgatev1.CopyRequest) (*sandgatev1.CopyResponse, error) {
	return answer[*sandgatev1.CopyResponse](g)
}

func (g *guest) Hash(context.Context, *sandgatev1.HashRequest) (*sandgatev1.HashResponse, error) {
	return answer[*sandgatev1.HashResponse](g)
}

func (g *guest) Diff(context.Context, *sandgatev1.DiffRequest) (*sandgatev1.DiffResponse, error) {
	return answer[*sandgatev1.DiffResponse](g)
}

func (g *guest) Patch(context.Context, *sandgatev1.PatchRequest) (*sandgatev1.PatchResponse, error) {
	return answer[*sandgatev1.PatchResponse](g)
}

func (g *guest) Read(ctx context.Context, req *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error) {
	return g.read(ctx, req)
}

func (g *guest) ListFiles(ctx context.Context, req *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
	return g.list(ctx, req)
}

func (g *guest) Stat(ctx context.Context, _ *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	return g.stat(ctx)
}

func (g *guest) Watch(ctx context.Context, _ *sandgatev1.WatchRequest, stream *connect.ServerStream[sandgatev1.WatchResponse]) error {
	return g.watch(ctx, stream.Send)
}

func (g *guest) Download(ctx context.Context, _ *sandgatev1.DownloadRequest, stream *connect.ServerStream[sandgatev1.DownloadResponse]) error {
	return g.download(ctx, stream.Send)
}

func (g *guest) Upload(ctx context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
	return g.upload(ctx, stream)
}

func (g *guest) Export(ctx context.Context, _ *sandgatev1.ExportRequest, stream *connect.ServerStream[sandgatev1.ExportResponse]) error {
	return g.export(ctx, stream.Send)
}

func (g *guest) Import(ctx context.Context, stream *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error) {
	return g.bring(ctx, stream)
}

// filesOf returns the host's side of a guest, and its sandbox.
func filesOf(tb testing.TB, g *guest) (*fileserver.Files, *sandboxtest.Box) {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle(sandgatev1connect.NewFileServiceHandler(g))
	b := sandboxtest.Serve(tb, mux)
	return fileserver.New(b), b
}
