package fileserver_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"testing/synctest"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestUploadPassesEverything(t *testing.T) {
	var header *sandgatev1.UploadHeader
	files, _ := filesOf(t, &guest{upload: func(_ context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
		var size int64
		for stream.Receive() {
			if h := stream.Msg().GetHeader(); h != nil {
				header = h
			}
			size += int64(len(stream.Msg().GetData()))
		}
		return &sandgatev1.UploadResponse{File: &sandgatev1.FileInfo{Path: "/home/user/f", Size: size, Type: 1}}, stream.Err()
	}})
	res, err := files.Upload(t.Context(), uploadOf(64, nil))
	if err != nil || res.GetFile().GetSize() != 4<<20 {
		t.Fatalf("reply %v, error %v", res, err)
	}
	if header.GetSessionId() != "" || header.GetPath() != "f" || header.GetMode() != 0o600 {
		t.Errorf("header %v", header)
	}
}

func TestBrokenUploadsDoNotEndWell(t *testing.T) {
	broken := errors.New("the caller's stream broke")
	header, _ := uploadOf(0, nil)()
	data := &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: []byte("x")}}
	in := func(requests ...*sandgatev1.UploadRequest) func() (*sandgatev1.UploadRequest, error) {
		return func() (*sandgatev1.UploadRequest, error) {
			if len(requests) == 0 {
				return nil, io.EOF
			}
			next := requests[0]
			requests = requests[1:]
			return next, nil
		}
	}
	for _, test := range []struct {
		name    string
		recv    func() (*sandgatev1.UploadRequest, error)
		code    connect.Code
		reaches bool
	}{
		{"caller breaks", uploadOf(3, broken), connect.CodeUnknown, true},
		{"no header", in(data), connect.CodeInvalidArgument, false},
		{"nothing", in(), connect.CodeInvalidArgument, false},
		{"two headers", in(header, data, header), connect.CodeInvalidArgument, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			end := make(chan error, 1)
			files, _ := filesOf(t, &guest{upload: func(_ context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
				for stream.Receive() {
				}
				end <- stream.Err()
				return nil, stream.Err()
			}})
			_, err := files.Upload(t.Context(), test.recv)
			if connect.CodeOf(err) != test.code {
				t.Errorf("error %v", err)
			}
			if test.reaches {
				if err := <-end; err == nil {
					t.Error("the guest saw a stream that ended well")
				}
			}
		})
	}
}

func TestUploadBelievesNoEarlySuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, _ := filesOf(t, &guest{upload: func(_ context.Context, stream *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
			stream.Receive()
			return &sandgatev1.UploadResponse{File: &sandgatev1.FileInfo{Size: 1}}, nil
		}})
		_, err := files.Upload(t.Context(), uploadOf(1<<16, nil))
		if err == nil {
			t.Error("an upload that was not taken succeeded")
		}
	})
}

func TestDownloadHoldsItsBounds(t *testing.T) {
	endless := func(_ context.Context, send func(*sandgatev1.DownloadResponse) error) error {
		for {
			if err := send(&sandgatev1.DownloadResponse{Data: make([]byte, 1<<20), TotalSize: 3 << 20}); err != nil {
				return err
			}
		}
	}
	honest := func(_ context.Context, send func(*sandgatev1.DownloadResponse) error) error {
		return errors.Join(
			send(&sandgatev1.DownloadResponse{Data: make([]byte, 200<<10), TotalSize: 300 << 10}),
			send(&sandgatev1.DownloadResponse{Data: make([]byte, 100<<10), TotalSize: math.MaxInt64}),
		)
	}
	empty := func(_ context.Context, send func(*sandgatev1.DownloadResponse) error) error {
		return send(&sandgatev1.DownloadResponse{})
	}
	nothing := func(context.Context, func(*sandgatev1.DownloadResponse) error) error { return nil }
	for _, test := range []struct {
		name  string
		guest func(context.Context, func(*sandgatev1.DownloadResponse) error) error
		req   *sandgatev1.DownloadRequest
		most  int64
		ok    bool
	}{
		{"honest", honest, &sandgatev1.DownloadRequest{}, 300 << 10, true},
		{"empty", empty, &sandgatev1.DownloadRequest{}, 0, true},
		{"nothing at all", nothing, &sandgatev1.DownloadRequest{}, 0, false},
		{"endless", endless, &sandgatev1.DownloadRequest{}, 3 << 20, false},
		{"endless from an offset", endless, &sandgatev1.DownloadRequest{Offset: 2 << 20}, 1 << 20, false},
		{"endless with a length", endless, &sandgatev1.DownloadRequest{Length: 2 << 20}, 2 << 20, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				files, _ := filesOf(t, &guest{download: test.guest})
				test.req.SessionId = "s"
				var size int64
				err := files.Download(t.Context(), test.req, func(piece *sandgatev1.DownloadResponse) error {
					if len(piece.GetData()) > 64<<10 {
						t.Errorf("a piece of %d bytes", len(piece.GetData()))
					}
					if (size > 0) != (piece.GetTotalSize() == 0) && test.name != "empty" {
						t.Errorf("total size %d after %d bytes", piece.GetTotalSize(), size)
					}
					size += int64(len(piece.GetData()))
					return nil
				})
				if (err == nil) != test.ok || size > test.most || (test.ok && size != test.most) {
					t.Errorf("%d bytes, error %v", size, err)
				}
				if err != nil {
					sandboxtest.WantError(t, err, connect.CodeInternal, "SANDBOX_MISBEHAVED")
				}
			})
		})
	}
}

func TestWatchLastsAsLongAsCallerAndSandbox(t *testing.T) {
	ready := &sandgatev1.WatchResponse{Event: &sandgatev1.WatchResponse_Ready{Ready: &sandgatev1.WatchReady{}}}
	lie := &sandgatev1.WatchResponse{Event: &sandgatev1.WatchResponse_Change{Change: &sandgatev1.FileChange{Type: 66}}}
	g := &guest{watch: func(ctx context.Context, send func(*sandgatev1.WatchResponse) error) error {
		err := errors.Join(send(ready), send(&sandgatev1.WatchResponse{}), send(lie), send(ready))
		<-ctx.Done()
		return err
	}}
	for _, test := range []struct {
		name string
		end  func(cancel func(), b *sandboxtest.Box)
		code connect.Code
	}{
		{"caller", func(cancel func(), _ *sandboxtest.Box) { cancel() }, connect.CodeCanceled},
		{"sandbox", func(_ func(), b *sandboxtest.Box) { b.Die(sandbox.ErrLost) }, connect.CodeFailedPrecondition},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, b := filesOf(t, g)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			events := 0
			err := files.Watch(ctx, &sandgatev1.WatchRequest{SessionId: "s"}, func(event *sandgatev1.WatchResponse) error {
				if event.GetReady() == nil {
					t.Errorf("event %v", event)
				}
				if events++; events == 2 {
					test.end(cancel, b)
				}
				return nil
			})
			if connect.CodeOf(err) != test.code || events != 2 {
				t.Errorf("%d events, error %v", events, err)
			}
		})
	}
}
