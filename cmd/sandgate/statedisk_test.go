package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// TestStateDiskFull fills the disk under a real gateway's state. What is new is refused and says why, what runs
// goes on, and all is well once there is room.
func TestStateDiskFull(t *testing.T) {
	needsEngine(t, config.RuntimeRunc)
	state := smallDisk(t)
	g := startGateway(t, state, "--runtime", "runc")
	sessions := sandgatev1connect.NewSessionServiceClient(http.DefaultClient, g.url)
	create := func() (string, error) {
		made, err := sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
		return made.GetSession().GetId(), err
	}
	id, err := create()
	if err != nil {
		t.Fatal(err)
	}
	empty := fillDisk(t, state)
	if _, err := create(); connect.CodeOf(err) != connect.CodeResourceExhausted || reasonIn(err) != gateway.ReasonStateUnavailable {
		t.Errorf("CreateSession = %v, %s", err, reasonIn(err))
	}
	if status := get(t, g.url+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d", status)
	}
	tools := sandgatev1connect.NewToolServiceClient(http.DefaultClient, g.url)
	call := func(callID string) error {
		arguments, err := structpb.NewStruct(map[string]any{"code": "print(6*7)"})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := tools.CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments, CallId: callID})
		if err == nil && !strings.Contains(reply.GetContent()[0].GetText(), "42") {
			t.Errorf("it says %v", reply)
		}
		return err
	}
	if err := call(""); err != nil {
		t.Errorf("a call in a session that runs: %v", err)
	}
	if seen, err := sessions.GetSession(t.Context(), &sandgatev1.GetSessionRequest{SessionId: id}); err != nil || seen.GetSession().GetState() != sandgatev1.SessionState_SESSION_STATE_RUNNING {
		t.Errorf("the session is %v, %v", seen, err)
	}
	// Some are still written into what SQLite has already; the first that is not is refused.
	for n := range 100_000 {
		if err = call("call " + strings.Repeat("x", 100) + strconv.Itoa(n)); err != nil {
			break
		}
	}
	if connect.CodeOf(err) != connect.CodeUnavailable || reasonIn(err) != gateway.ReasonCallNotKept {
		t.Errorf("a call that cannot be written down: %v, %s", err, reasonIn(err))
	}
	empty()
	if err := call("with room again"); err != nil {
		t.Error(err)
	}
	again, err := create()
	if err != nil {
		t.Fatal(err)
	}
	for get(t, g.url+"/readyz") != http.StatusOK { // its answer may be a second old
		if t.Context().Err() != nil {
			t.Fatal("with room again the gateway is not ready")
		}
	}
	for _, id := range []string{id, again} {
		if _, err := sessions.DeleteSession(t.Context(), &sandgatev1.DeleteSessionRequest{SessionId: id}); err != nil {
			t.Error(err)
		}
	}
	g.signal(t, syscall.SIGTERM)
	g.end(t, state)
}

// smallDisk returns a folder on a disk of its own, of 32 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("no disk can be mounted for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk leaves no room on a folder's disk until what it returns is called.
func fillDisk(t *testing.T, dir string) (empty func()) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(file, strings.NewReader(strings.Repeat("x", 64<<20))); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk does not fill: %v", err)
	}
	return func() {
		if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// reasonIn returns the reason in an RPC error's detail.
func reasonIn(err error) string { return detailIn(err).GetReason() }

// hintIn returns the hint in an RPC error's detail.
func hintIn(err error) string { return detailIn(err).GetHint() }

func detailIn(err error) *sandgatev1.ErrorDetail {
	if failed, ok := errors.AsType[*connect.Error](err); ok {
		for _, detail := range failed.Details() {
			value, valueErr := detail.Value()
			if said, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
				return said
			}
		}
	}
	return nil
}
