package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

const (
	saveLook    = 15 * time.Second // how often it is looked at what is to be saved
	saveEvery   = time.Minute      // between two saves of a session that is used
	saveShare   = 20               // saves may take one part in so many of the time
	saveTimeout = 45 * time.Second // for the last save of a session that nobody waits for
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

// saves is what is known of a session's saves.
type saves struct {
	at    atomic.Int64 // of the last one, in nanoseconds since 1970; zero: there was none
	took  atomic.Int64 // nanoseconds
	calls atomic.Int64 // that the session had had by then
	done  atomic.Bool  // the last one that is needed was made
	now   atomic.Bool  // one is being made
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
	ctx, cancel := context.WithTimeout(ctx, s.opts.CreateTimeout)
	defer cancel()
	there, err := s.opts.Workspaces.Fill(ctx, box, want.tenant, want.workspace)
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

// save saves a session's files where they are to persist.
func (s *Sessions) save(ctx context.Context, sess *session) error {
	if sess.keeping.Workspace == "" {
		return nil
	}
	calls, start := sess.calls.Load(), time.Now()
	saved, err := s.opts.Workspaces.Save(ctx, sess.sandbox, sess.tenant, sess.id, sess.keeping.Workspace)
	if err != nil {
		return err
	}
	sess.saves.took.Store(int64(time.Since(start)))
	sess.saves.calls.Store(calls)
	sess.saves.at.Store(saved.GetCreatedAt().AsTime().UnixNano())
	return nil
}

// saveLast saves the files of a session that ends and that nobody waits for.
func (s *Sessions) saveLast(sess *session) {
	if sess.keeping.Workspace == "" || sess.saves.done.Load() || sess.sandbox == nil || sess.lostBecause() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	if err := s.save(ctx, sess); err != nil {
		s.opts.Logger.Error("the files of a session that ended were not saved: the workspace is as it was saved before",
			"session", shown(sess.id), "tenant", sess.tenant, "workspace", sess.keeping.Workspace, "saved_at", sess.savedAt(), "err", err)
	}
}

// savedAt tells when a session's files were saved last.
func (sess *session) savedAt() time.Time {
	at := sess.saves.at.Load()
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at)
}

// withSaved adds to the reason of a loss what is left of the files.
func (sess *session) withSaved(reason string) string {
	switch at := sess.savedAt(); {
	case sess.keeping.Workspace == "":
		return reason
	case at.IsZero():
		return fmt.Sprintf("%s; its files were not saved yet as workspace %q", reason, sess.keeping.Workspace)
	default:
		return fmt.Sprintf("%s; workspace %q has its files as they were at %s, what was written since is lost",
			reason, sess.keeping.Workspace, at.UTC().Format(time.RFC3339))
	}
}

// saveUsed saves the files of sessions that are used, until the end. None waits for another: a sandbox may take long.
func (s *Sessions) saveUsed() {
	tick := time.NewTicker(saveLook)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		for _, sess := range s.running() {
			if sess.saveDue(time.Now()) && sess.saves.now.CompareAndSwap(false, true) {
				s.work.Go(func() {
					defer sess.saves.now.Store(false)
					s.saveNow(sess)
				})
			}
		}
	}
}

// saveDue tells whether a session was used since its files were saved, and long enough ago.
func (sess *session) saveDue(now time.Time) bool {
	if sess.keeping.Workspace == "" || (sess.active.Load() == 0 && sess.calls.Load() == sess.saves.calls.Load()) {
		return false
	}
	last := sess.savedAt()
	if last.Before(sess.created) {
		last = sess.created
	}
	return now.Sub(last) >= max(saveEvery, saveShare*time.Duration(sess.saves.took.Load()))
}

// saveNow saves the files of a session that goes on.
func (s *Sessions) saveNow(sess *session) {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	go func() {
		select {
		case <-sess.leave: // the end of the session saves them
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := s.save(ctx, sess); err != nil && ctx.Err() == nil && sess.lostBecause() == nil {
		s.opts.Logger.Warn("the files of a session were not saved; it is tried again",
			"session", shown(sess.id), "tenant", sess.tenant, "workspace", sess.keeping.Workspace, "err", err)
	}
}

// letGo gives up what is kept for a session that has ended or is lost: its checkpoints, and its workspace's name.
func (s *Sessions) letGo(sess *session) {
	s.disclaim(sess.tenant, sess.id, sess.keeping.Workspace)
	if s.opts.Workspaces != nil {
		s.opts.Workspaces.Forget(sess.tenant, sess.id)
	}
}

// saveBefore saves the files of a session that is about to be deleted, where they are to persist. The session goes on
// where that fails.
func (s *Sessions) saveBefore(ctx context.Context, req *sandgatev1.DeleteSessionRequest) error {
	s.mu.RLock()
	sess := s.find(principalOf(ctx), req.GetSessionId())
	s.mu.RUnlock()
	if sess == nil || sess.keeping.Workspace == "" {
		return nil
	}
	if !req.GetDiscard() && sess.sandbox != nil && sess.lostBecause() == nil {
		if err := s.save(ctx, sess); err != nil && sess.lostBecause() == nil {
			return notDeleted(err)
		}
	}
	sess.saves.done.Store(true)
	return nil
}

// notDeleted is the error for a session that goes on, as its files could not be saved.
func notDeleted(err error) error {
	known, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	told := connect.NewError(known.Code(),
		fmt.Errorf("the session's files could not be saved, so that it was not deleted (discard gives them up): %s", known.Message()))
	for _, detail := range known.Details() {
		told.AddDetail(detail)
	}
	return told
}
