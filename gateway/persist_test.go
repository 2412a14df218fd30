package gateway

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// shelf notes what is asked of the keeper of workspaces; what it does with files is tested with the real one.
type shelf struct {
	mu     sync.Mutex
	saved  map[owned]time.Time
	saves  int
	filled []string
	forgot []string
	fail   error
}

func newShelf() *shelf { return &shelf{saved: map[owned]time.Time{}} }

func (s *shelf) Fill(_ context.Context, sb sandbox.Sandbox, tenant, name string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.saved[owned{tenant, name}]
	if there {
		s.filled = append(s.filled, sb.ID()+"="+name)
	}
	return there, s.fail
}

func (s *shelf) Save(_ context.Context, sb sandbox.Sandbox, tenant, _, name string) (*sandgatev1.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.fail, sb.Err()); err != nil {
		return nil, err
	}
	s.saves++
	s.saved[owned{tenant, name}] = time.Now()
	return &sandgatev1.Snapshot{Name: name, CreatedAt: timestamppb.Now()}, nil
}

func (s *shelf) SavedAt(tenant, name string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, there := s.saved[owned{tenant, name}]
	return at, there
}

func (s *shelf) Forget(_, session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot = append(s.forgot, session)
}

func (s *shelf) Settle(func(tenant, session string) bool) {}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

func (s *shelf) failing(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func newShelved(t *testing.T) (*house, *shelf) {
	t.Helper()
	kept := newShelf()
	return newHouse(t, func(o *SessionOptions) { o.Workspaces = kept }), kept
}

func persisting(name string) *sandgatev1.CreateSessionRequest {
	return &sandgatev1.CreateSessionRequest{Workspace: name, Persist: true}
}

func TestSessionsBeginWithAWorkspaceAndAreSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, kept := newShelved(t)
		ctx := anybody(t.Context())
		_, err := h.createSession(ctx, &sandgatev1.CreateSessionRequest{Workspace: "w"})
		wantError(t, err, connect.CodeNotFound, ReasonWorkspaceNotFound)
		_, err = h.createSession(ctx, &sandgatev1.CreateSessionRequest{Persist: true})
		wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
		first := h.mustCreate(t, persisting("w"))
		if first.GetWorkspace() != "w" || first.GetSavedAt() != nil {
			t.Errorf("%v", first)
		}
		_, err = h.createSession(ctx, persisting("w"))
		wantError(t, err, connect.CodeFailedPrecondition, ReasonWorkspaceInUse)
		wantError(t, h.MayKeep(ctx, "", "w"), connect.CodeFailedPrecondition, ReasonWorkspaceInUse)
		if err := h.MayKeep(ctx, first.GetId(), "w"); err != nil {
			t.Errorf("its own session may not save: %v", err)
		}
		if _, err := h.deleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: first.GetId()}); err != nil {
			t.Fatal(err)
		}
		if kept.count() != 1 || len(kept.forgot) != 1 {
			t.Errorf("%d saves, forgot %v", kept.count(), kept.forgot)
		}
		second := h.mustCreate(t, persisting("w"))
		if len(kept.filled) != 1 || second.GetSavedAt() == nil {
			t.Errorf("%v, %v", kept.filled, second)
		}
		if _, err := h.deleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: second.GetId(), Discard: true}); err != nil || kept.count() != 1 {
			t.Errorf("%v, %d saves", err, kept.count())
		}
		unused := h.mustCreate(t, persisting("w")).GetId()
		if _, err := h.deleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: unused}); err != nil {
			t.Fatal(err)
		}
		saved := kept.count()
		third := h.mustCreate(t, persisting("w")).GetId()
		h.mu.RLock()
		sess := h.find(principalOf(ctx), third)
		h.mu.RUnlock()
		used := &call{}
		used.hold(h.Sessions, sess)
		used.end()
		kept.failing(errors.New("not now"))
		pass(DefaultIdleTimeout - keepEvery)
		kept.failing(nil)
		pass(2 * keepEvery)
		synctest.Wait()
		if kept.count() != saved+1 || h.engine.open() != 0 {
			t.Errorf("a session that ran out was not saved: %d saves", kept.count())
		}
	})
}

func TestWhatCannotBeSavedIsNotDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, kept := newShelved(t)
		id := h.mustCreate(t, persisting("w")).GetId()
		kept.failing(Errorf(connect.CodeResourceExhausted, ReasonQuotaExceeded, "Make room.", "no room"))
		_, err := h.deleteSession(anybody(t.Context()), &sandgatev1.DeleteSessionRequest{SessionId: id})
		wantError(t, err, connect.CodeResourceExhausted, ReasonQuotaExceeded)
		if _, err := h.Sandbox(anybody(t.Context()), id); err != nil {
			t.Errorf("it did not go on: %v", err)
		}
		kept.failing(nil)
		if _, err := h.deleteSession(anybody(t.Context()), &sandgatev1.DeleteSessionRequest{SessionId: id}); err != nil || kept.count() != 1 {
			t.Errorf("%v, %d saves", err, kept.count())
		}
	})
}

// TestWritesDuringADeletion are in what is saved: the session is saved again when one came meanwhile.
func TestWritesDuringADeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, kept := newShelved(t)
		id := h.mustCreate(t, persisting("w")).GetId()
		h.mu.RLock()
		sess := h.find(principalOf(anybody(t.Context())), id)
		h.mu.RUnlock()
		running := &call{}
		running.hold(h.Sessions, sess)
		time.AfterFunc(time.Second, running.end)
		if _, err := h.deleteSession(anybody(t.Context()), &sandgatev1.DeleteSessionRequest{SessionId: id}); err != nil || kept.count() != 2 {
			t.Errorf("%v, %d saves", err, kept.count())
		}
	})
}

// TestNarrowTokensGiveUpNothing neither what persists nor what runs.
func TestNarrowTokensGiveUpNothing(t *testing.T) {
	h, _ := newShelved(t)
	id := h.mustCreate(t, persisting("w")).GetId()
	reader := as(t.Context(), &identity.Principal{Tenant: identity.DefaultTenant, Session: id, Tools: []string{"file_read"}})
	_, err := h.deleteSession(reader, &sandgatev1.DeleteSessionRequest{SessionId: id, Discard: true})
	wantError(t, err, connect.CodePermissionDenied, ReasonScopeMissing)
	_, err = h.releaseSandbox(reader, &sandgatev1.ReleaseSandboxRequest{SessionId: id})
	wantError(t, err, connect.CodePermissionDenied, ReasonScopeMissing)
	_, err = h.releaseSandbox(anybody(t.Context()), &sandgatev1.ReleaseSandboxRequest{SessionId: id})
	wantError(t, err, connect.CodeFailedPrecondition, ReasonNotDeferred)
}

func TestAWorkspaceThatCannotBeUnpackedMakesNoSession(t *testing.T) {
	h, kept := newShelved(t)
	kept.saved[owned{identity.DefaultTenant, "w"}] = time.Now()
	kept.failing(errors.New("damaged"))
	if _, err := h.createSession(anybody(t.Context()), persisting("w")); err == nil || h.engine.open() != 0 || h.Counts() != (SessionCounts{}) {
		t.Errorf("%v, %d sandboxes, %+v", err, h.engine.open(), h.Counts())
	}
	kept.failing(nil)
	h.mustCreate(t, persisting("w")) // the name is free again
}

func TestUsedSessionsAreSavedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, kept := newShelved(t)
		id := h.mustCreate(t, persisting("w")).GetId()
		pass(2 * saveEvery)
		if kept.count() != 0 {
			t.Error("an unused session was saved")
		}
		h.mu.RLock()
		sess := h.find(principalOf(anybody(t.Context())), id)
		h.mu.RUnlock()
		used := func() { // a call that begins, and ends
			c := &call{}
			c.hold(h.Sessions, sess)
			c.end()
		}
		used()
		pass(saveEvery)
		if kept.count() != 1 {
			t.Errorf("%d saves", kept.count())
		}
		pass(2 * saveEvery)
		if kept.count() != 1 {
			t.Errorf("%d saves without a call", kept.count())
		}
		long := &call{}
		long.hold(h.Sessions, sess)
		pass(2 * saveEvery) // a save while it runs holds not all that it does
		saves := kept.count()
		long.end()
		pass(2 * saveEvery)
		if saves < 2 || kept.count() <= saves {
			t.Errorf("%d saves while a call ran, %d after its end", saves, kept.count())
		}
		h.engine.last().die(sandbox.ErrLost)
		synctest.Wait()
		res, err := h.getSession(anybody(t.Context()), &sandgatev1.GetSessionRequest{SessionId: id})
		if err != nil || !strings.Contains(res.GetSession().GetLostReason(), `workspace "w" has its files as they were at`) {
			t.Errorf("%v, %v", res, err)
		}
		h.mustCreate(t, persisting("w")) // a lost session keeps the name from nobody
	})
}

func TestWorkspacesAreNotForEveryToken(t *testing.T) {
	h, kept := newShelved(t)
	kept.saved[owned{"acme", "w"}] = time.Now()
	for name, p := range map[string]*identity.Principal{
		"no files":    {Tenant: "acme", Scopes: []string{"sessions"}},
		"other tools": {Tenant: "acme", Tools: []string{"python_run"}},
	} {
		_, err := h.createSession(as(t.Context(), p), persisting("w"))
		if connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	bound := as(t.Context(), &identity.Principal{Tenant: "acme", Session: "ses_x"})
	wantError(t, h.MayKeep(bound, "ses_x", "w"), connect.CodePermissionDenied, ReasonSessionBound)
	_, err := h.createSession(as(t.Context(), &identity.Principal{Tenant: "other"}), &sandgatev1.CreateSessionRequest{Workspace: "w"})
	wantError(t, err, connect.CodeNotFound, ReasonWorkspaceNotFound)
}

func TestPersistSurvivesTheGateway(t *testing.T) {
	h, kept := newShelved(t)
	created := h.mustCreate(t, persisting("w"))
	row, _ := h.memory.row(created.GetId())
	sess, err := h.fromRow(row, time.Now())
	if err != nil || sess.keeping.Workspace != "w" || sess.spec != h.engine.last().spec {
		t.Errorf("%+v, %v", sess, err)
	}
	_ = kept
}
