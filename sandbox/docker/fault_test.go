package docker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// badEngine answers like a Docker engine, except where a fault is put, and notes what it is asked.
type badEngine struct {
	mu     sync.Mutex
	calls  []string
	faults map[string]http.HandlerFunc // by "METHOD last-path-element"
}

func (e *badEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	call := r.Method + " " + path[strings.LastIndex(path, "/")+1:]
	if r.Method == http.MethodDelete {
		call = "DELETE"
	}
	e.mu.Lock()
	e.calls = append(e.calls, call)
	fault := e.faults[call]
	e.mu.Unlock()
	w.Header().Set("Api-Version", "1.41")
	switch {
	case fault != nil:
		fault(w, r)
	case call == "GET info":
		_, _ = w.Write([]byte(`{"Runtimes":{"runc":{}},"SecurityOptions":["name=seccomp,profile=default"],"CgroupVersion":"2"}`))
	case call == "GET json" && strings.HasSuffix(path, "/containers/json"):
		_, _ = w.Write([]byte(`[]`))
	case call == "POST create":
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"Id":"c1"}`))
	case call == "DELETE", call == "POST start":
		w.WriteHeader(http.StatusNoContent)
	case call == "POST attach":
		attachAndHangUp(w)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

func (e *badEngine) count(call string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, each := range e.calls {
		if each == call {
			n++
		}
	}
	return n
}

// attachAndHangUp upgrades as the engine does and ends the stream at once, as when a container dies.
func attachAndHangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"))
	_ = conn.Close()
}

// attachAndListen upgrades and says nothing until the driver hangs up.
func attachAndListen(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"))
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}

func refuse(status int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"message":"` + message + `"}`))
	}
}

func faultyDriver(t *testing.T, faults map[string]http.HandlerFunc) (*Driver, *badEngine) {
	t.Helper()
	engine := &badEngine{faults: faults}
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	driver, err := New(t.Context(), Options{Host: "tcp://" + server.Listener.Addr().String(), Image: "i", Owner: "o"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return driver, engine
}

// CH08: whatever the engine does, a failed Create removes its container and says whether to try again.
func TestCreateWithBadEngine(t *testing.T) {
	for _, test := range []struct {
		name, call string
		fault      http.HandlerFunc
		mayPass    bool
	}{
		{"create fails", "POST create", refuse(500, "no space left"), true},
		{"create is refused", "POST create", refuse(400, "bad parameter"), false},
		{"no image", "POST create", refuse(404, "No such image: i"), false},
		{"attach fails", "POST attach", refuse(500, "broken"), true},
		{"start fails", "POST start", refuse(500, "OCI runtime create failed"), true},
		{"start conflicts", "POST start", refuse(409, "busy"), true},
		{"stream ends", "none", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			driver, engine := faultyDriver(t, map[string]http.HandlerFunc{
				test.call: test.fault,
				"GET json": func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/containers/json") {
						_, _ = w.Write([]byte(`[]`))
						return
					}
					_, _ = w.Write([]byte(`{"Id":"c1","State":{"Running":false,"ExitCode":127,"Error":"exec"}}`))
				},
			})
			_, err := driver.Create(t.Context(), testSpec("runc"))
			if err == nil || errors.Is(err, sandbox.ErrUnavailable) != test.mayPass {
				t.Errorf("Create = %v; ErrUnavailable wanted: %v", err, test.mayPass)
			}
			if engine.count("DELETE") != 1 {
				t.Errorf("%d removals, want 1", engine.count("DELETE"))
			}
			if len(driver.uids.owned) != 0 || len(driver.names) != 0 || len(driver.creating) != 0 {
				t.Errorf("the driver still holds %v %v", driver.uids.owned, driver.names)
			}
		})
	}
}

// An engine that hangs holds nobody beyond their patience.
func TestCreateWithHangingEngine(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, call := range []string{"POST attach", "POST start"} {
		t.Run(call, func(t *testing.T) {
			driver, engine := faultyDriver(t, map[string]http.HandlerFunc{call: hang})
			if call == "POST start" {
				engine.mu.Lock()
				engine.faults["POST attach"] = attachAndListen
				engine.mu.Unlock()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := driver.Create(ctx, testSpec("runc")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Create = %v, want the deadline", err)
			}
			if engine.count("DELETE") != 1 {
				t.Errorf("%d removals, want 1", engine.count("DELETE"))
			}
		})
	}
}

// A caller who waits for its turn may leave, and takes no turn.
func TestCreateWaitsItsTurn(t *testing.T) {
	driver, _ := faultyDriver(t, nil)
	for range cap(driver.creating) {
		driver.creating <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := driver.Create(ctx, testSpec("runc")); !errors.Is(err, context.Canceled) {
		t.Errorf("Create = %v, want cancelled", err)
	}
	for range cap(driver.creating) {
		<-driver.creating
	}
}

func TestFailedRemovalIsLeftToTheSweep(t *testing.T) {
	driver, _ := faultyDriver(t, map[string]http.HandlerFunc{
		"POST start": refuse(500, "no"), "DELETE": refuse(500, "device busy"),
	})
	if _, err := driver.Create(t.Context(), testSpec("runc")); err == nil || !strings.Contains(err.Error(), "device busy") {
		t.Errorf("Create = %v, want the failed removal in it", err)
	}
	if len(driver.uids.owned) != 1 || len(driver.names) != 0 {
		t.Errorf("uids %v, names %v: the uid must stay taken and the name be free for a sweep", driver.uids.owned, driver.names)
	}
}

func TestNoEngineIsUnavailable(t *testing.T) {
	_, err := New(t.Context(), Options{Host: "unix:///nonexistent.sock", Image: "i", Owner: "o"})
	if !errors.Is(err, sandbox.ErrUnavailable) {
		t.Errorf("New = %v, want ErrUnavailable", err)
	}
	if _, err := New(t.Context(), Options{}); err == nil {
		t.Error("New without image and owner succeeded")
	}
}

func TestEngineWithoutSeccompHasNoRunc(t *testing.T) {
	driver, _ := faultyDriver(t, map[string]http.HandlerFunc{"GET info": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Runtimes":{"runc":{},"runsc":{}}}`))
	}})
	if _, err := driver.Create(t.Context(), testSpec("runc")); err == nil || !strings.Contains(err.Error(), "doctor") {
		t.Errorf("Create = %v, want a refusal", err)
	}
}
