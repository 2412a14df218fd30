package snapshot

import (
	"context"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	pageSize = 100 // where nobody says
	maxShown = 100 // changes that an undo tells
)

// Sessions find the sandboxes of sessions, and tell who calls. *gateway.Sessions is one. Its methods may be called by
// any number of goroutines.
type Sessions interface {
	guestrpc.Sandboxes
	// Tenant returns whose the call of ctx is.
	Tenant(ctx context.Context) string
	// MayKeep returns the error for a caller who may not change what is kept under a name: somebody who may work in
	// one session only, or where a running session other than the one that is named is to save its files there.
	// Without a name he asks for what is kept altogether.
	MayKeep(ctx context.Context, session, name string) error
}

// Service is the host's side of WorkspaceService. Its methods may be called by any number of goroutines; their errors
// are *connect.Errors. Requests must have passed validation.
type Service struct {
	store    *Store
	sessions Sessions
}

// NewService returns a service of a store.
func NewService(store *Store, sessions Sessions) *Service {
	return &Service{store: store, sessions: sessions}
}

// Save keeps the files of a session's sandbox under a name, with the label of what was kept under it.
func (s *Store) Save(ctx context.Context, sb sandbox.Sandbox, tenant, session, name string) (*sandgatev1.Snapshot, error) {
	return s.save(ctx, sb, session, record{Tenant: tenant, Name: name})
}

// save keeps the files of a session's sandbox as a workspace.
func (s *Store) save(ctx context.Context, sb sandbox.Sandbox, session string, r record) (*sandgatev1.Snapshot, error) {
	leave, err := s.alone(ctx, group{r.Tenant, session})
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := s.mayAdd(r.group(), r.Name); err != nil {
		return nil, err
	}
	if older, err := s.find(r.group(), r.Name); err == nil && r.Label == "" {
		r.Label = older.Label
	}
	k, err := s.take(ctx, sb, r)
	if err != nil {
		return nil, err
	}
	return k.snapshot(), nil
}

// SaveWorkspace keeps the files of a session under a name.
func (s *Service) SaveWorkspace(ctx context.Context, req *sandgatev1.SaveWorkspaceRequest) (*sandgatev1.SaveWorkspaceResponse, error) {
	sb, err := s.sessions.Sandbox(ctx, req.GetSessionId()) // first: a session that is not the caller's is like none
	if err != nil {
		return nil, err
	}
	if err := s.sessions.MayKeep(ctx, req.GetSessionId(), req.GetName()); err != nil {
		return nil, err
	}
	saved, err := s.store.save(ctx, sb, req.GetSessionId(), record{Tenant: s.sessions.Tenant(ctx), Name: req.GetName(), Label: req.GetLabel()})
	if err != nil {
		return nil, err
	}
	return &sandgatev1.SaveWorkspaceResponse{Workspace: saved}, nil
}

// ListWorkspaces returns what the caller's tenant keeps.
func (s *Service) ListWorkspaces(ctx context.Context, req *sandgatev1.ListWorkspacesRequest) (*sandgatev1.ListWorkspacesResponse, error) {
	if err := s.sessions.MayKeep(ctx, "", ""); err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = pageSize
	}
	res := &sandgatev1.ListWorkspacesResponse{}
	for _, k := range s.store.list(group{tenant: s.sessions.Tenant(ctx)}) {
		if k.Name <= req.GetPageToken() {
			continue
		}
		if len(res.Workspaces) == size {
			res.NextPageToken = res.GetWorkspaces()[size-1].GetName()
			break
		}
		res.Workspaces = append(res.Workspaces, k.snapshot())
	}
	return res, nil
}

// DeleteWorkspace removes what is kept under a name.
func (s *Service) DeleteWorkspace(ctx context.Context, req *sandgatev1.DeleteWorkspaceRequest) (*sandgatev1.DeleteWorkspaceResponse, error) {
	if err := s.sessions.MayKeep(ctx, "", req.GetName()); err != nil {
		return nil, err
	}
	k, err := s.store.find(group{tenant: s.sessions.Tenant(ctx)}, req.GetName())
	if err != nil {
		return nil, err
	}
	if err := s.store.drop(k); err != nil {
		return nil, s.store.failed(err)
	}
	return &sandgatev1.DeleteWorkspaceResponse{}, nil
}

// working is a call about the checkpoints of one session, of which there is one at a time.
type working struct {
	*Store

	ctx   context.Context //nolint:containedctx // it is that of one call, which this is
	sb    sandbox.Sandbox
	group group
	leave func()
}

// begin waits for a session's turn. Leave must be called.
func (s *Service) begin(ctx context.Context, session string) (*working, error) {
	sb, err := s.sessions.Sandbox(ctx, session)
	if err != nil {
		return nil, err
	}
	g := group{s.sessions.Tenant(ctx), session}
	leave, err := s.store.alone(ctx, g)
	if err != nil {
		return nil, err
	}
	select {
	case <-sb.Done(): // while others worked
		leave()
		return nil, guestrpc.SessionLost(sb)
	default:
	}
	return &working{s.store, ctx, sb, g, leave}, nil
}

// take makes a checkpoint, and removes the oldest where there are too many, but for one that is needed.
func (w *working) take(label string, undo bool, needed *kept) (*kept, error) {
	id, surplus := w.nextCheckpoint(w.group, needed)
	made, err := w.Store.take(w.ctx, w.sb, record{Tenant: w.group.tenant, Session: w.group.session, Name: id, Label: label, Undo: undo})
	if err != nil {
		return nil, err
	}
	for _, k := range surplus {
		_ = w.drop(k) // it is logged
	}
	return made, nil
}

// CreateCheckpoint keeps the files of a session as they are.
func (s *Service) CreateCheckpoint(ctx context.Context, req *sandgatev1.CreateCheckpointRequest) (*sandgatev1.CreateCheckpointResponse, error) {
	w, err := s.begin(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	defer w.leave()
	made, err := w.take(req.GetLabel(), false, nil)
	if err != nil {
		return nil, err
	}
	return &sandgatev1.CreateCheckpointResponse{Checkpoint: made.snapshot()}, nil
}

// ListCheckpoints returns the checkpoints of a session.
func (s *Service) ListCheckpoints(ctx context.Context, req *sandgatev1.ListCheckpointsRequest) (*sandgatev1.ListCheckpointsResponse, error) {
	if _, err := s.sessions.Sandbox(ctx, req.GetSessionId()); err != nil {
		return nil, err
	}
	res := &sandgatev1.ListCheckpointsResponse{}
	for _, k := range s.store.list(group{s.sessions.Tenant(ctx), req.GetSessionId()}) {
		res.Checkpoints = append(res.Checkpoints, k.snapshot())
	}
	return res, nil
}

// SavedAt returns when what is kept under a name was saved, and whether anything is.
func (s *Store) SavedAt(tenant, name string) (time.Time, bool) {
	k, err := s.find(group{tenant: tenant}, name)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(0, k.Serial), true
}
