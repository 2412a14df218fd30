package fileserver_test

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestReadMendsLies(t *testing.T) {
	for _, test := range []struct {
		name        string
		req         *sandgatev1.ReadRequest
		res         *sandgatev1.ReadResponse
		next, total int64
		reason      string
	}{
		{
			"honest", &sandgatev1.ReadRequest{Offset: 2, Length: 3},
			&sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: "abc"}, TotalSize: 9, NextOffset: 5}, 5, 9, "",
		},
		{
			"standing still", &sandgatev1.ReadRequest{Offset: 2},
			&sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Data{Data: []byte("abc")}, TotalSize: 9, NextOffset: 2}, 5, 9, "",
		},
		{"nothing, but more to come", &sandgatev1.ReadRequest{Offset: 2}, &sandgatev1.ReadResponse{TotalSize: 9, NextOffset: 2}, 9, 9, ""},
		{"negative", &sandgatev1.ReadRequest{}, &sandgatev1.ReadResponse{TotalSize: -9, NextOffset: math.MinInt64}, 0, 0, ""},
		{
			"smaller than its piece", &sandgatev1.ReadRequest{},
			&sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: "abc"}, TotalSize: 1}, 3, 3, "",
		},
		{
			"too much", &sandgatev1.ReadRequest{Length: 2},
			&sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: "abc"}}, 0, 0, "SANDBOX_MISBEHAVED",
		},
		{
			"beyond all files", &sandgatev1.ReadRequest{Offset: math.MaxInt64},
			&sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: "abc"}}, 0, 0, "SANDBOX_MISBEHAVED",
		},
		{
			"lines", &sandgatev1.ReadRequest{StartLine: 4},
			&sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: "abc\n"}, TotalSize: 90, NextOffset: 50, NextLine: 5, TotalLines: 9}, 50, 90, "",
		},
		{
			"lines before the beginning", &sandgatev1.ReadRequest{Lines: 4},
			&sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: "abc\n"}, TotalSize: -1, NextOffset: -5, NextLine: -5, TotalLines: -9}, 4, 4, "",
		},
		{
			"too many lines", &sandgatev1.ReadRequest{Lines: 1},
			&sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: "a\nb\n"}}, 0, 0, "SANDBOX_MISBEHAVED",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, _ := filesOf(t, &guest{read: func(_ context.Context, req *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error) {
				if req.GetSessionId() != "" {
					return nil, errors.New("the guest learns the session id")
				}
				return test.res, nil
			}})
			test.req.SessionId = "s"
			res, err := files.Read(t.Context(), test.req)
			if test.reason != "" {
				sandboxtest.WantError(t, err, connect.CodeInternal, test.reason)
				return
			}
			if err != nil || res.GetNextOffset() != test.next || res.GetTotalSize() != test.total {
				t.Errorf("next %d, total %d, error %v", res.GetNextOffset(), res.GetTotalSize(), err)
			}
			if res.GetTotalLines() < 0 || res.GetNextLine() < 0 || res.GetNextLine() > 0 && res.GetNextLine() <= res.GetStartLine() {
				t.Errorf("%v", res)
			}
		})
	}
}

func TestListAndStatMendLies(t *testing.T) {
	lie := &sandgatev1.FileInfo{
		Path: strings.Repeat("p", 1<<16), Type: 50, Size: -1, Mode: math.MaxUint32, ModifiedAt: &timestamppb.Timestamp{Nanos: -1},
	}
	page := 0
	files, _ := filesOf(t, &guest{
		stat: func(context.Context) (*sandgatev1.StatResponse, error) {
			return &sandgatev1.StatResponse{File: lie}, nil
		},
		list: func(context.Context, *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
			page++
			return []*sandgatev1.ListFilesResponse{
				{Files: []*sandgatev1.FileInfo{lie, lie}, NextPageToken: "more"},
				{NextPageToken: "more"},
				{Files: make([]*sandgatev1.FileInfo, 3)},
				{NextPageToken: strings.Repeat("x", 1<<14)},
			}[page-1], nil
		},
	})
	stat, err := files.Stat(t.Context(), &sandgatev1.StatRequest{SessionId: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := protojson.Marshal(stat); err != nil {
		t.Errorf("the reply cannot be JSON: %v", err)
	}
	if f := stat.GetFile(); f.GetType() != sandgatev1.FileType_FILE_TYPE_OTHER || f.GetSize() != 0 || f.GetMode() > 0o7777 || len(f.GetPath()) > 12<<10 {
		t.Errorf("type %v, size %d, mode %o", f.GetType(), f.GetSize(), f.GetMode())
	}
	req := &sandgatev1.ListFilesRequest{SessionId: "s", PageSize: 2}
	if res, err := files.ListFiles(t.Context(), req); err != nil || res.GetNextPageToken() != "more" {
		t.Errorf("first page: %v, %v", res, err)
	}
	if res, err := files.ListFiles(t.Context(), req); err != nil || res.GetNextPageToken() != "" {
		t.Errorf("empty page: %v, %v", res, err)
	}
	for range 2 {
		_, err := files.ListFiles(t.Context(), req)
		sandboxtest.WantError(t, err, connect.CodeInternal, "SANDBOX_MISBEHAVED")
	}
}

func TestSilentGuestsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, _ := filesOf(t, &guest{
			stat: func(ctx context.Context) (*sandgatev1.StatResponse, error) { <-ctx.Done(); return nil, ctx.Err() },
			download: func(ctx context.Context, send func(*sandgatev1.DownloadResponse) error) error {
				err := send(&sandgatev1.DownloadResponse{TotalSize: 5})
				<-ctx.Done()
				return err
			},
			upload: func(ctx context.Context, _ *connect.ClientStream[sandgatev1.UploadRequest]) (*sandgatev1.UploadResponse, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		_, err := files.Stat(t.Context(), &sandgatev1.StatRequest{SessionId: "s"})
		sandboxtest.WantError(t, err, connect.CodeDeadlineExceeded, "SANDBOX_SILENT")
		err = files.Download(t.Context(), &sandgatev1.DownloadRequest{SessionId: "s"}, func(*sandgatev1.DownloadResponse) error { return nil })
		sandboxtest.WantError(t, err, connect.CodeDeadlineExceeded, "SANDBOX_SILENT")
		_, err = files.Upload(t.Context(), uploadOf(1<<20, nil))
		sandboxtest.WantError(t, err, connect.CodeDeadlineExceeded, "SANDBOX_SILENT")
	})
}

// uploadOf returns the requests of an upload with so many pieces of 64 KiB, ended by failure, nil
// for a good end.
func uploadOf(pieces int, failure error) func() (*sandgatev1.UploadRequest, error) {
	sent := -1
	return func() (*sandgatev1.UploadRequest, error) {
		sent++
		switch {
		case sent == 0:
			return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{SessionId: "s", Path: "f", Mode: 0o600}}}, nil
		case sent <= pieces:
			return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: make([]byte, 64<<10)}}, nil
		case failure != nil:
			return nil, failure
		default:
			return nil, io.EOF
		}
	}
}
