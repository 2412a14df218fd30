package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// TestEngineLost takes the engine from a real gateway and gives it back: callers are told at once, the session is
// said to be lost, and the gateway comes back by itself.
func TestEngineLost(t *testing.T) {
	needsEngine(t, config.RuntimeRunc)
	wire := newWire(t)
	state := t.TempDir()
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
	running := newProgram(t, g.url, "py", "--session", id, "-c", "import time; print('ready', flush=True); time.sleep(600)").start(t)
	running.expect(t, "ready")

	wire.cut()
	running.ends(t, exitKilled)
	for range 20 { // until the breaker refuses without asking, and after
		if _, err := create(); connect.CodeOf(err) != connect.CodeUnavailable || reasonIn(err) != gateway.ReasonEngineUnavailable {
			t.Errorf("without an engine: %v", err)
		}
	}
	if _, err := create(); err == nil || !strings.Contains(hintIn(err), "tried again in") {
		t.Errorf("the breaker does not say when to come back: %q", hintIn(err))
	}
	after := newProgram(t, g.url, "py", "--session", id, "-c", "1").start(t)
	after.expect(t, "the session is lost")
	seen, err := sessions.GetSession(t.Context(), &sandgatev1.GetSessionRequest{SessionId: id})
	if err != nil || seen.GetSession().GetState() != sandgatev1.SessionState_SESSION_STATE_LOST {
		t.Errorf("the session is %v, %v", seen, err)
	}
	if status := get(t, g.url+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d", status)
	}

	wire.join(t)
	isBack := func() bool {
		return get(t, g.url+"/readyz") == http.StatusOK &&
			strings.Contains(fetch(t, http.DefaultClient, g.url, ""), `sandgate_pool_ready{template="python"} 1`)
	}
	for end := time.Now().Add(patience); !isBack(); time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // nobody tells
		if time.Now().After(end) {
			t.Fatal("the gateway is not ready again, with a full pool")
		}
	}
	if _, err := create(); err != nil {
		t.Errorf("with an engine again: %v", err)
	}
	g.signal(t, syscall.SIGTERM)
	g.end(t, state)
}

// wire leads from a socket, to which DOCKER_HOST points for the rest of the test, to the engine's.
type wire struct {
	path, engine string
	work         sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
}

func newWire(t *testing.T) *wire {
	t.Helper()
	engine := "/var/run/docker.sock"
	if host, set := os.LookupEnv("DOCKER_HOST"); set {
		path, local := strings.CutPrefix(host, "unix://")
		if !local {
			t.Skip("the engine is not behind a unix socket")
		}
		engine = path
	}
	w := &wire{path: filepath.Join(t.TempDir(), "d.sock"), engine: engine}
	t.Setenv("DOCKER_HOST", "unix://"+w.path)
	w.join(t)
	t.Cleanup(func() {
		w.cut()
		w.work.Wait()
	})
	return w
}

// join lets the engine be reached from now on.
func (w *wire) join(t *testing.T) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", w.path)
	if err == nil {
		err = os.Chmod(w.path, 0o600) // as the engine's own must be
	}
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listener = listener
	w.work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			w.connect(client)
		}
	})
}

func (w *wire) connect(client net.Conn) {
	engine, err := net.Dial("unix", w.engine)
	if err != nil {
		_ = client.Close()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, client, engine)
	for _, way := range [][2]net.Conn{{client, engine}, {engine, client}} {
		w.work.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_, _ = client.Close(), engine.Close()
		})
	}
}

// cut is the end of the engine, as far as anybody behind the wire can tell.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.listener.Close() // a second time it is closed already
	for _, conn := range w.open {
		_ = conn.Close()
	}
	w.open = nil
}
