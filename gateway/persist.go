package gateway

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// Workspaces keep files of sessions beyond their end. *snapshot.Store is one. Its methods may be called by any number
// of goroutines; their errors are for callers.
type Workspaces interface {
	// Fill puts what a tenant keeps under a name into the files of a sandbox, and tells whether there is any.
	Fill(ctx context.Context, sb sandbox.Sandbox, tenant, name string) (bool, error)
	// Save keeps the files of a session's sandbox under a name, in place of what was kept under it.
	Save(ctx context.Context, sb sandbox.Sandbox, tenant, session, name string) (*sandgatev1.Snapshot, error)
	// SavedAt returns when what is kept under a name was saved, and whether there is any.
	SavedAt(tenant, name string) (time.Time, bool)
	// Forget removes what is kept for a session, which has ended.
	Forget(tenant, session string)
	// Settle is Forget for all sessions that goesOn denies. It is called once, before the first call.
	Settle(goesOn func(tenant, session string) bool)
}

// keeping says how a session's files are kept beyond it.
type keeping struct {
	// Workspace is the name that they are saved under. Empty: they are not.
	Workspace string `json:"workspace,omitempty"`
}

// Tenant returns whose the call of ctx is.
func (s *Sessions) Tenant(ctx context.Context) string { return principalOf(ctx).Tenant }

// MayKeep returns the error for a caller who may not change what is kept under a name: somebody who may work in one
// session only, or where a running session other than the one that is named is to save its files there. Without a
// name he asks for what is kept altogether.
func (s *Sessions) MayKeep(ctx context.Context, session, name string) error {
	p := principalOf(ctx)
	if p.Session != "" {
		return Errorf(connect.CodePermissionDenied, ReasonSessionBound,
			"Use checkpoints, or a key.", "this token is for one session only, and workspaces are its tenant's")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if by, taken := s.keepers[owned{p.Tenant, name}]; taken && name != "" && by != session {
		return errKept(name)
	}
	return nil
}

// errKept is the error for a second session that would be saved under a name.
func errKept(name string) error {
	return Errorf(connect.CodeFailedPrecondition, ReasonWorkspaceInUse,
		"Delete that session first, or use another name.", "a running session saves its files as workspace %q", name)
}

// mayPersist returns the error for a caller whose session is to begin with a workspace, or to be saved as one.
func (s *Sessions) mayPersist(p *identity.Principal, req *sandgatev1.CreateSessionRequest) error {
	name, persist := req.GetWorkspace(), req.GetPersist()
	switch {
	case name == "" && !persist:
		return nil
	case name == "":
		return Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument, "Name it in workspace.", "persist needs the name of a workspace")
	case s.opts.Workspaces == nil:
		return Errorf(connect.CodeFailedPrecondition, ReasonWorkspaceNotFound, "Leave workspace out.", "this gateway keeps no workspaces")
	case p.Lacks([]string{filesScope}) != "" || (persist && !p.MayCall(saveTool)):
		return Errorf(connect.CodePermissionDenied, ReasonScopeMissing, "Use a key that may work on files, or leave workspace out.",
			"workspaces need the scope %q, and the tool %s to be saved", filesScope, saveTool)
	}
	if _, there := s.opts.Workspaces.SavedAt(p.Tenant, name); !there && !persist {
		return Errorf(connect.CodeNotFound, ReasonWorkspaceNotFound,
			"ListWorkspaces names those that there are. With persist, a session may begin a new one.", "there is no workspace %q", name)
	}
	return nil
}

// saveTool is the tool that does what persist does.
const saveTool = "workspace_save"

// claim has nobody else save under the name of a session that is to be made, until it is disclaimed.
func (s *Sessions) claim(tenant, session, name string) error {
	if name == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := owned{tenant, name}
	if _, taken := s.keepers[key]; taken {
		return errKept(name)
	}
	s.keepers[key] = session
	return nil
}

// disclaim lets others save under a session's name.
func (s *Sessions) disclaim(tenant, session, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := (owned{tenant, name}); name != "" && s.keepers[key] == session {
		delete(s.keepers, key)
	}
}

// fill has a new sandbox begin with a workspace.
func (s *Sessions) fill(ctx context.Context, box sandbox.Sandbox, want wish) error {
	if want.workspace == "" {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, s.opts.CreateTimeout)
	defer cancel()
	there, err := s.opts.Workspaces.Fill(within, box, want.tenant, want.workspace)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return Errorf(connect.CodeDeadlineExceeded, ReasonWorkspaceSlow, "Ask for more processor, or keep fewer files.",
			"workspace %q was not in the new sandbox within %v", want.workspace, s.opts.CreateTimeout)
	}
	if err == nil && !there && want.keeping.Workspace == "" { // it was deleted a moment ago
		return Errorf(connect.CodeNotFound, ReasonWorkspaceNotFound,
			"ListWorkspaces names those that there are.", "there is no workspace %q", want.workspace)
	}
	return err
}

// noteSaved notes when the workspace was saved that a session is saved as.
func (s *Sessions) noteSaved(sess *session) {
	if s.opts.Workspaces == nil || sess.keeping.Workspace == "" {
		return
	}
	if at, there := s.opts.Workspaces.SavedAt(sess.tenant, sess.keeping.Workspace); there {
		sess.saves.at.Store(at.UnixNano())
	}
}

// letGo gives up what is kept for a session that has ended or is lost: its checkpoints, and its workspace's name.
func (s *Sessions) letGo(sess *session) {
	s.disclaim(sess.tenant, sess.id, sess.keeping.Workspace)
	if s.opts.Workspaces != nil {
		s.opts.Workspaces.Forget(sess.tenant, sess.id)
	}
}
