package fileserver_test

import (
	"context"
	"flag"
	"net/http"
	"os"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// compiled is where programs are kept between the tests of a run, which compiles them once.
var compiled string

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

// filesOf returns the host's side of a guest, and its sandbox.
func filesOf(tb testing.TB, g *guest) (*fileserver.Files, *sandboxtest.Box) {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle(sandgatev1connect.NewFileServiceHandler(g))
	b := sandboxtest.Serve(tb, mux)
	return fileserver.New(b), b
}
