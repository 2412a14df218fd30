package snapshot

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"path"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// GetChanges tells what has changed since a checkpoint.
func (s *Service) GetChanges(ctx context.Context, req *sandgatev1.GetChangesRequest) (*sandgatev1.GetChangesResponse, error) {
	w, err := s.begin(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	defer w.leave()
	k, err := w.checkpoint(w.group, req.GetCheckpoint())
	if err != nil {
		return nil, err
	}
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return nil, guestrpc.CallerLeft(err)
	}
	defer w.slots.Release(1)
	then, err := w.scan(k)
	if err != nil {
		return nil, err
	}
	var want func(string, state) bool
	if !req.GetNoDiffs() {
		want = changedTexts(then)
	}
	now, err := w.scanNow(want)
	if err != nil {
		return nil, err
	}
	return w.changes(req, k, then, now)
}

// changes makes the reply about one page.
func (w *working) changes(req *sandgatev1.GetChangesRequest, k *kept, then tree, now *scanning) (*sandgatev1.GetChangesResponse, error) {
	d := compare(then, now.tree)
	size := int(req.GetPageSize())
	if size == 0 {
		size = pageSize
	}
	after, err := base64.RawURLEncoding.DecodeString(req.GetPageToken()) // names may be any bytes
	if err != nil {
		return nil, guestrpc.NewError(connect.CodeInvalidArgument, errors.New("page_token is none of this RPC's"), "INVALID_ARGUMENT",
			"Use the next_page_token of the page before.")
	}
	paths, more := d.page(string(after), size)
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
	return res, diffs(w.ctx, res.GetChanges(), paths, now.texts, archive)
}

// scan reads what a copy holds.
func (w *working) scan(k *kept) (tree, error) {
	archive, closer, err := w.open(k)
	if err != nil {
		return nil, err
	}
	defer func() { _ = closer.Close() }()
	scanned, err := scan(w.ctx, archive, nil)
	if err != nil {
		return nil, err
	}
	return scanned.tree, nil
}

// scanNow reads what the session has, which is not kept.
func (w *working) scanNow(want func(string, state) bool) (*scanning, error) {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	out, in := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		in.CloseWithError(filesOf(w.sb).Export(ctx, &sandgatev1.ExportRequest{}, func(piece *sandgatev1.ExportResponse) error {
			_, err := in.Write(piece.GetData())
			return err
		}))
	}()
	scanned, err := scan(ctx, out, want)
	if err == nil {
		_, err = io.Copy(io.Discard, out) // the end of the stream tells whether this was all
	}
	cancel()
	_ = out.Close()
	<-sent
	return scanned, err
}

// Undo brings the files of a session back to a checkpoint.
func (s *Service) Undo(ctx context.Context, req *sandgatev1.UndoRequest) (*sandgatev1.UndoResponse, error) {
	w, err := s.begin(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	defer w.leave()
	k, err := w.checkpoint(w.group, req.GetCheckpoint())
	if err != nil {
		return nil, err
	}
	before, err := w.take("before going back to "+k.Name, true, k)
	if err != nil {
		return nil, err
	}
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return nil, guestrpc.CallerLeft(err)
	}
	defer w.slots.Release(1)
	d, err := w.back(k, before)
	if err != nil {
		return nil, err
	}
	d = d.only(relative(req.GetPaths()))
	archive, closer, err := w.open(k)
	if err != nil {
		return nil, err
	}
	defer func() { _ = closer.Close() }()
	if err := apply(ctx, w.sb, d, archive); err != nil {
		return nil, halfway(err, before)
	}
	res := &sandgatev1.UndoResponse{Checkpoint: k.snapshot(), Before: before.snapshot(), Changes: d.show(shown(d))}
	res.Added, res.Modified, res.Removed = d.count()
	return res, nil
}

// back returns the difference between what there is and what a checkpoint holds.
func (w *working) back(k, before *kept) (difference, error) {
	then, err := w.scan(k)
	if err != nil {
		return difference{}, err
	}
	now, err := w.scan(before)
	if err != nil {
		return difference{}, err
	}
	return compare(now, then), nil
}

// relative returns paths of callers as archives have them.
func relative(paths []string) []string {
	names := make([]string, 0, len(paths))
	for _, p := range paths {
		if !strings.HasPrefix(p, "/") {
			p = home + p
		}
		p = path.Clean(p) + "/"
		if !strings.HasPrefix(p, home) {
			p = "/" + p // it is none of the session's, and so there is nothing below it
		}
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(p, home), "/"))
	}
	return names
}
