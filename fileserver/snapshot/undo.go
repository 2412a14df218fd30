package snapshot

import (
	"context"
	"path"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

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
	res := &sandgatev1.UndoResponse{Checkpoint: k.snapshot(), Before: before.snapshot()}
	err = w.compare(ctx, w.group.tenant, w.sb, func(ctx context.Context) error { return w.back(ctx, req, k, before, res) })
	if err != nil {
		return nil, halfway(err, before)
	}
	return res, nil
}

// back makes the files what a checkpoint holds, from what they are.
func (w *working) back(ctx context.Context, req *sandgatev1.UndoRequest, k, before *kept, res *sandgatev1.UndoResponse) error {
	then, err := w.scan(ctx, k)
	if err != nil {
		return err
	}
	now, err := w.scan(ctx, before)
	if err != nil {
		return err
	}
	d := compare(now.tree, then.tree).only(relative(req.GetPaths()))
	archive, closer, err := w.open(k)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	if res.Unnamed, err = apply(ctx, w.sb, d, then.links, archive); err != nil {
		return err
	}
	res.Changes = d.show(d.paths[:min(len(d.paths), maxShown)])
	res.Added, res.Modified, res.Removed = d.count()
	return nil
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
			p = home + "/" + p // it is none of the session's, and so there is nothing below it
		}
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(p, home), "/"))
	}
	return names
}
