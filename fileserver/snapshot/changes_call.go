package snapshot

import (
	"context"
	"encoding/base64"
	"errors"
	"io"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// GetChanges tells what has changed since a checkpoint.
func (s *Service) GetChanges(ctx context.Context, req *sandgatev1.GetChangesRequest) (*sandgatev1.GetChangesResponse, error) {
	after, err := base64.RawURLEncoding.DecodeString(req.GetPageToken()) // names may be any bytes
	if err != nil {
		return nil, guestrpc.NewError(connect.CodeInvalidArgument, errors.New("page_token is none of this RPC's"), "INVALID_ARGUMENT",
			"Use the next_page_token of the page before.")
	}
	w, err := s.begin(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	defer w.leave()
	k, err := w.checkpoint(w.group, req.GetCheckpoint())
	if err != nil {
		return nil, err
	}
	var res *sandgatev1.GetChangesResponse
	err = w.compare(ctx, w.group.tenant, w.sb, func(ctx context.Context) (err error) {
		res, err = w.changes(ctx, req, k, string(after))
		return err
	})
	return res, err
}

// changes compares, and makes the reply about one page.
func (w *working) changes(ctx context.Context, req *sandgatev1.GetChangesRequest, k *kept, after string) (*sandgatev1.GetChangesResponse, error) {
	old, err := w.scan(ctx, k)
	if err != nil {
		return nil, err
	}
	then := old.tree
	var want func(string, state) bool
	if !req.GetNoDiffs() {
		want = changedTexts(then)
	}
	now, err := scanNow(ctx, w.sb, want)
	if err != nil {
		return nil, err
	}
	d := compare(then, now.tree)
	size := int(req.GetPageSize())
	if size == 0 {
		size = pageSize
	}
	paths, more := d.page(after, size)
	res := &sandgatev1.GetChangesResponse{Checkpoint: k.snapshot(), Changes: d.show(paths)}
	res.Added, res.Modified, res.Removed = d.count()
	if more {
		res.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(paths[len(paths)-1]))
	}
	if len(now.texts) == 0 {
		return res, nil
	}
	archive, closer, err := w.open(k)
	if err != nil {
		return nil, err
	}
	defer func() { _ = closer.Close() }()
	return res, diffs(ctx, res.GetChanges(), paths, now.texts, archive)
}

// scan reads what a copy holds.
func (w *working) scan(ctx context.Context, k *kept) (*scanning, error) {
	archive, closer, err := w.open(k)
	if err != nil {
		return nil, err
	}
	defer func() { _ = closer.Close() }()
	return scan(ctx, archive, nil)
}

// scanNow reads what a sandbox has, which is not kept.
func scanNow(ctx context.Context, sb sandbox.Sandbox, want func(string, state) bool) (*scanning, error) {
	ctx, cancel := context.WithCancel(ctx)
	left := sizeLimit(sb)
	archive := fileserver.Piped(func(to io.Writer) error {
		return filesOf(sb).Export(ctx, &sandgatev1.ExportRequest{}, func(piece *sandgatev1.ExportResponse) error {
			if left -= int64(len(piece.GetData())); left < 0 {
				return errTooLarge(sizeLimit(sb))
			}
			_, err := to.Write(piece.GetData())
			return err
		})
	})
	scanned, err := scan(ctx, archive, want)
	if err == nil {
		_, err = io.Copy(io.Discard, archive) // the end of the stream tells whether this was all
	}
	cancel()
	_ = archive.Close()
	return scanned, err
}
