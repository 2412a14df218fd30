package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/deferred"
	"github.com/sandgate/sandgate/fileserver/snapshot"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is a tenant's, which is bounded.
type room struct {
	mu    sync.Mutex
	limit int64
	used  map[string]int64
}

func (r *room) Take(tenant string, bytes int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limit > 0 && r.used[tenant]+bytes > r.limit {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("no room"))
	}
	r.used[tenant] += bytes
	return nil
}

func (r *room) Hold(tenant string, bytes int64) { r.add(tenant, bytes) }
func (r *room) Give(tenant string, bytes int64) { r.add(tenant, -bytes) }

func (r *room) add(tenant string, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used[tenant] += bytes
}

func (r *room) of(tenant string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used[tenant]
}

// rig is a store with a service, as two tenants' sessions see it.
type rig struct {
	*testing.T
	*snapshot.Service

	folder string
	room   *room
	store  *snapshot.Store
	boxes  map[string]sandbox.Sandbox // by session
	files  *fileserver.Files
}

type tenantKey struct{}

func (r *rig) Sandbox(_ context.Context, id string) (sandbox.Sandbox, error) {
	if box := r.boxes[id]; box != nil {
		return box, nil
	}
	return nil, connect.NewError(connect.CodeNotFound, errors.New("no such session"))
}

func (r *rig) Tenant(ctx context.Context) string {
	if name, ok := ctx.Value(tenantKey{}).(string); ok {
		return name
	}
	return "acme"
}

func (r *rig) MayKeep(context.Context, string, string) error { return nil }

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, folder: filepath.Join(t.TempDir(), "snapshots"), room: &room{used: map[string]int64{}}, boxes: map[string]sandbox.Sandbox{}}
	r.files = fileserver.New(r)
	r.restart()
	return r
}

// restart opens the folder anew, as after a crash.
func (r *rig) restart() {
	r.Helper()
	r.room.used = map[string]int64{}
	store, err := snapshot.New(snapshot.Options{Folder: r.folder, Room: r.room})
	if err != nil {
		r.Fatal(err)
	}
	r.store, r.Service = store, snapshot.NewService(store, r)
}

// live makes a session with a sandbox, local one with its files in the store.
func (r *rig) live(id string) string {
	r.Helper()
	return r.with(id, &sandboxtest.Fake{}, sandbox.Spec{Template: "python", Runtime: "runc"})
}

func (r *rig) local(id string) string {
	r.Helper()
	driver, err := deferred.New(deferred.Options{Driver: &sandboxtest.Fake{}, Folder: r.TempDir()})
	if err != nil {
		r.Fatal(err)
	}
	return r.with(id, driver, sandbox.Spec{Template: "python", Runtime: "runc", Deferred: true})
}

func (r *rig) with(id string, driver sandbox.Driver, spec sandbox.Spec) string {
	r.Helper()
	box, err := driver.Create(r.Context(), spec)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		if err := box.Close(context.Background()); err != nil {
			r.Error(err)
		}
	})
	r.boxes[id] = box
	return id
}

func (r *rig) write(session, path, text string) {
	r.Helper()
	_, err := r.files.Write(r.Context(), &sandgatev1.WriteRequest{SessionId: session, Path: path, Content: &sandgatev1.WriteRequest_Text{Text: text}})
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) read(session, path string) string {
	r.Helper()
	res, err := r.files.Read(r.Context(), &sandgatev1.ReadRequest{SessionId: session, Path: path})
	if connect.CodeOf(err) == connect.CodeNotFound {
		return "none"
	}
	if err != nil {
		r.Fatal(err)
	}
	return res.GetText()
}

func (r *rig) remove(session, path string) {
	r.Helper()
	if _, err := r.files.Remove(r.Context(), &sandgatev1.RemoveRequest{SessionId: session, Path: path, Recursive: true}); err != nil {
		r.Fatal(err)
	}
}

// run runs a command where the files of a session are.
func (r *rig) run(session, command string) {
	r.Helper()
	process := sandgatev1connect.NewProcessServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(1<<20)...)
	stream, err := process.Shell(guestrpc.WithSandbox(r.Context(), r.boxes[session]), &sandgatev1.ShellRequest{Command: command})
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		if result := stream.Msg().GetResult(); result != nil && result.GetExitCode() != 0 {
			r.Fatalf("%s: %v", command, result)
		}
	}
	if stream.Err() != nil {
		r.Fatal(stream.Err())
	}
}

func (r *rig) checkpoint(session string) string {
	r.Helper()
	res, err := r.CreateCheckpoint(r.Context(), &sandgatev1.CreateCheckpointRequest{SessionId: session})
	if err != nil {
		r.Fatal(err)
	}
	return res.GetCheckpoint().GetName()
}

// changed returns the changes as one line each.
func (r *rig) changed(req *sandgatev1.GetChangesRequest) string {
	r.Helper()
	res, err := r.GetChanges(r.Context(), req)
	if err != nil {
		r.Fatal(err)
	}
	return lines(res.GetChanges())
}

func lines(changes []*sandgatev1.WorkspaceChange) string {
	var out []string
	for _, change := range changes {
		sign := "?AMD"[change.GetKind()]
		out = append(out, fmt.Sprintf("%c %s", sign, strings.TrimPrefix(change.GetPath(), "/home/user/")))
	}
	return strings.Join(out, "\n")
}

// eachHome runs a test in both homes of files.
func eachHome(t *testing.T, test func(r *rig, session string)) {
	t.Helper()
	t.Run("sandbox", func(t *testing.T) {
		r := newRig(t)
		test(r, r.live("ses_1"))
	})
	t.Run("store", func(t *testing.T) {
		r := newRig(t)
		test(r, r.local("ses_1"))
	})
}

func TestWorkspaceOutlivesItsSession(t *testing.T) {
	eachHome(t, func(r *rig, session string) {
		r.write(session, "notes/plan.txt", "one")
		res, err := r.SaveWorkspace(r.Context(), &sandgatev1.SaveWorkspaceRequest{SessionId: session, Name: "report", Label: "mine"})
		if err != nil || res.GetWorkspace().GetFiles() != 1 || res.GetWorkspace().GetDirectories() != 1 {
			r.Fatalf("%v, %v", res, err)
		}
		r.write(session, "notes/plan.txt", "two")
		if err := r.boxes[session].Close(r.Context()); err != nil {
			r.Fatal(err)
		}
		r.restart()
		if used := r.room.of("acme"); used != res.GetWorkspace().GetStoredBytes() {
			r.Errorf("%d bytes are held", used)
		}
		next := r.local("ses_2")
		if there, err := r.store.Fill(r.Context(), r.boxes[next], "acme", "report"); err != nil || !there {
			r.Fatalf("%v, %v", there, err)
		}
		if got := r.read(next, "notes/plan.txt"); got != "one" {
			r.Errorf("%q", got)
		}
		if there, err := r.store.Fill(r.Context(), r.boxes[next], "other", "report"); err != nil || there {
			r.Errorf("another tenant has it: %v, %v", there, err)
		}
		if _, err := r.DeleteWorkspace(context.WithValue(r.Context(), tenantKey{}, "other"), &sandgatev1.DeleteWorkspaceRequest{Name: "report"}); connect.CodeOf(err) != connect.CodeNotFound {
			r.Errorf("another tenant removes it: %v", err)
		}
		list, err := r.ListWorkspaces(r.Context(), &sandgatev1.ListWorkspacesRequest{})
		if err != nil || len(list.GetWorkspaces()) != 1 || list.GetWorkspaces()[0].GetLabel() != "mine" {
			r.Errorf("%v, %v", list, err)
		}
		if _, err := r.DeleteWorkspace(r.Context(), &sandgatev1.DeleteWorkspaceRequest{Name: "report"}); err != nil {
			r.Error(err)
		}
		if left, err := os.ReadDir(r.folder); err != nil || len(left) != 0 || r.room.of("acme") != 0 {
			r.Errorf("%v are left, and %d bytes: %v", left, r.room.of("acme"), err)
		}
	})
}

func TestChangesAndUndo(t *testing.T) {
	eachHome(t, func(r *rig, session string) {
		r.write(session, "same", "same")
		r.write(session, "edited", "a\nb\nc\n")
		r.write(session, "gone/deep/file", "back")
		r.write(session, "swapped", "a file")
		first := r.checkpoint(session)
		r.write(session, "same", "same") // another time
		r.write(session, "edited", "a\nB\nc\n")
		r.remove(session, "gone")
		r.remove(session, "swapped")
		r.write(session, "swapped/inside", "x")
		r.write(session, "new/file", "x")
		want := "M edited\nD gone\nD gone/deep\nD gone/deep/file\nA new\nA new/file\nM swapped\nA swapped/inside"
		if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session}); got != want {
			r.Errorf("%s", got)
		}
		res, err := r.GetChanges(r.Context(), &sandgatev1.GetChangesRequest{SessionId: session, Checkpoint: first, PageSize: 1})
		if err != nil || res.GetChanges()[0].GetDiff() != "--- a/edited\n+++ b/edited\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n" || res.GetAdded() != 3 || res.GetModified() != 2 || res.GetRemoved() != 3 {
			r.Errorf("%v, %v", res, err)
		}
		rest := r.changed(&sandgatev1.GetChangesRequest{SessionId: session, PageToken: res.GetNextPageToken(), PageSize: 2})
		if rest != "D gone\nD gone/deep" {
			r.Errorf("the second page is %s", rest)
		}
		part, err := r.Undo(r.Context(), &sandgatev1.UndoRequest{SessionId: session, Paths: []string{"./gone/", "new"}})
		if err != nil || lines(part.GetChanges()) != "A gone\nA gone/deep\nA gone/deep/file\nD new\nD new/file" {
			r.Fatalf("%v, %v", part, err)
		}
		if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session}); got != "M edited\nM swapped\nA swapped/inside" {
			r.Errorf("after a part: %s", got)
		}
		all, err := r.Undo(r.Context(), &sandgatev1.UndoRequest{SessionId: session})
		if err != nil || all.GetCheckpoint().GetName() != first {
			r.Fatalf("%v, %v", all, err)
		}
		if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session, Checkpoint: first}); got != "" {
			r.Errorf("after all: %s", got)
		}
		if got := r.read(session, "swapped") + r.read(session, "gone/deep/file"); got != "a fileback" {
			r.Errorf("%q", got)
		}
		if _, err := r.Undo(r.Context(), &sandgatev1.UndoRequest{SessionId: session, Checkpoint: part.GetBefore().GetName()}); err != nil {
			r.Fatal(err)
		}
		if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session, Checkpoint: first}); got != want {
			r.Errorf("after undoing the undo: %s", got)
		}
	})
}

func TestLinksModesAndEmptyDirectories(t *testing.T) {
	r := newRig(t)
	session := r.live("ses_1")
	r.write(session, "f", "text")
	r.run(session, "ln -s f link && ln f twin && mkdir empty && chmod 600 f")
	r.checkpoint(session)
	r.run(session, "ln -sfn elsewhere link && chmod 755 f && rmdir empty")
	if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session}); got != "D empty\nM f\nM link\nM twin" {
		t.Errorf("%s", got)
	}
	if _, err := r.Undo(t.Context(), &sandgatev1.UndoRequest{SessionId: session}); err != nil {
		t.Fatal(err)
	}
	if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session}); got != "" {
		t.Errorf("%s", got)
	}
}

func TestNoRoom(t *testing.T) {
	eachHome(t, func(r *rig, session string) {
		r.write(session, "f", "small")
		id := r.checkpoint(session)
		held := r.room.of("acme")
		r.room.limit = held + 1<<20 + 100
		r.write(session, "f", strings.Repeat("large", 400_000))
		_, err := r.CreateCheckpoint(r.Context(), &sandgatev1.CreateCheckpointRequest{SessionId: session})
		if connect.CodeOf(err) != connect.CodeResourceExhausted {
			r.Errorf("%v", err)
		}
		if _, err = r.Undo(r.Context(), &sandgatev1.UndoRequest{SessionId: session}); connect.CodeOf(err) != connect.CodeResourceExhausted {
			r.Errorf("%v", err)
		}
		if r.room.of("acme") != held || len(r.read(session, "f")) < 100 {
			r.Errorf("%d bytes are held, not %d", r.room.of("acme"), held)
		}
		if left, err := os.ReadDir(r.folder); err != nil || len(left) != 2 {
			r.Errorf("%v, %v", left, err)
		}
		r.room.limit = 0
		if _, err := r.Undo(r.Context(), &sandgatev1.UndoRequest{SessionId: session, Checkpoint: id}); err != nil || r.read(session, "f") != "small" {
			r.Error(err)
		}
	})
}

func TestCheckpointsAreBoundedAndEndWithTheirSession(t *testing.T) {
	r := newRig(t)
	session, other := r.local("ses_1"), r.local("ses_2")
	r.checkpoint(other)
	for i := range 20 {
		if id := r.checkpoint(session); id != fmt.Sprintf("cp%d", i+1) {
			t.Errorf("%s", id)
		}
	}
	res, err := r.ListCheckpoints(t.Context(), &sandgatev1.ListCheckpointsRequest{SessionId: session})
	if err != nil || len(res.GetCheckpoints()) != 16 || res.GetCheckpoints()[0].GetName() != "cp5" {
		t.Errorf("%v, %v", res, err)
	}
	_, err = r.GetChanges(t.Context(), &sandgatev1.GetChangesRequest{SessionId: session, Checkpoint: "cp1"})
	sandboxtest.WantError(t, err, connect.CodeNotFound, "CHECKPOINT_NOT_FOUND")
	_, err = r.Undo(t.Context(), &sandgatev1.UndoRequest{SessionId: other, Checkpoint: "cp5"})
	sandboxtest.WantError(t, err, connect.CodeNotFound, "CHECKPOINT_NOT_FOUND")
	r.store.Forget("acme", session)
	_, err = r.Undo(t.Context(), &sandgatev1.UndoRequest{SessionId: session})
	sandboxtest.WantError(t, err, connect.CodeFailedPrecondition, "NO_CHECKPOINT")
	r.restart()
	r.store.Settle(func(string, string) bool { return false })
	if left, err := os.ReadDir(r.folder); err != nil || len(left) != 0 || r.room.of("acme") != 0 {
		t.Errorf("%v are left, and %d bytes: %v", left, r.room.of("acme"), err)
	}
}

// TestCrashes leaves what a crash leaves, and finds the whole copies and nothing else.
func TestCrashes(t *testing.T) {
	r := newRig(t)
	session := r.local("ses_1")
	save := func() {
		t.Helper()
		if _, err := r.SaveWorkspace(t.Context(), &sandgatev1.SaveWorkspaceRequest{SessionId: session, Name: "w"}); err != nil {
			t.Fatal(err)
		}
	}
	r.write(session, "f", "old")
	save()
	old := contents(t, r.folder)
	r.write(session, "f", "newer")
	save()
	put := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(r.folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range old { // the older copy was not removed yet
		put(name, data)
	}
	put("half.tar", []byte("half"))
	put("half.json.new", []byte("{"))
	r.restart()
	left := contents(t, r.folder)
	if len(left) != 2 {
		t.Errorf("%d files are left", len(left))
	}
	for name, data := range left {
		if strings.HasSuffix(name, ".tar") && r.room.of("acme") != int64(len(data)) {
			t.Errorf("%d bytes are held of %d", r.room.of("acme"), len(data))
		}
	}
	next := r.local("ses_2")
	if there, err := r.store.Fill(t.Context(), r.boxes[next], "acme", "w"); err != nil || !there || r.read(next, "f") != "newer" {
		t.Errorf("%v, %v", there, err)
	}
	for name, data := range contents(t, r.folder) { // a damaged one is not used, nor removed
		if strings.HasSuffix(name, ".tar") {
			put(name, data[:len(data)/2])
		}
	}
	r.restart()
	if there, _ := r.store.Fill(t.Context(), r.boxes[next], "acme", "w"); there || len(contents(t, r.folder)) != 2 {
		t.Error("half a copy is used, or was removed")
	}
}

func contents(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, entry := range entries {
		if all[entry.Name()], err = os.ReadFile(filepath.Join(folder, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

var _ guestrpc.Sandboxes = (*rig)(nil)
