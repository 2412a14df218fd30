package wasmtool

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// fetchTimeout bounds how long a guest may take to hand a file over, or to write one.
const fetchTimeout = 30 * time.Second

// Files are the files of sessions. *fileserver.Files is one.
type Files interface {
	// Download gives send a file in pieces, the first of which tells its size.
	Download(ctx context.Context, req *sandgatev1.DownloadRequest, send func(*sandgatev1.DownloadResponse) error) error
	// Write writes a file, and makes the directories above it.
	Write(ctx context.Context, req *sandgatev1.WriteRequest) (*sandgatev1.WriteResponse, error)
}

// session is the [Workspace] of a session.
type session struct {
	files Files
	id    string
}

// Fetch has the guest read a file.
func (s session) Fetch(ctx context.Context, path string, most int64) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var data bytes.Buffer
	err := s.files.Download(within, &sandgatev1.DownloadRequest{SessionId: s.id, Path: below(path)}, func(piece *sandgatev1.DownloadResponse) error {
		if piece.GetTotalSize() > most {
			return errFetched()
		}
		data.Grow(int(piece.GetTotalSize())) // of the first piece; the others have none
		data.Write(piece.GetData())
		return within.Err()
	})
	return data.Bytes(), silent(ctx, within, err)
}

// Store has the guest write a file.
func (s session) Store(ctx context.Context, path string, data []byte) error {
	within, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	_, err := s.files.Write(within, &sandgatev1.WriteRequest{SessionId: s.id, Path: below(path), Content: &sandgatev1.WriteRequest_Data{Data: data}})
	return silent(ctx, within, err)
}

// below returns a path as guests take it, whose home is elsewhere in tests.
func below(path string) string { return strings.TrimPrefix(path, home+"/") }

// silent says so where it was the guest that was late.
func silent(ctx, within context.Context, err error) error {
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return guestrpc.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("the sandbox took more than %s for a file", fetchTimeout),
			"SANDBOX_SILENT", "The sandbox is overloaded or stuck. Try again later, or make a new session.")
	}
	return err
}
