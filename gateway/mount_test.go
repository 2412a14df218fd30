package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox/loopback"
)

// saying is a handler that says its name and what it was asked.
func saying(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s: %s %s", name, r.Method, r.URL.Path)
	})
}

func TestMount(t *testing.T) {
	g := newRig(t, func(o *Options) { o.AllowedOrigins = []string{"https://console.example"} })
	g.server.Mount("/exact", saying("exact"))
	g.server.Mount("/tree/", saying("tree"))
	g.server.Mount("/tree/deep/", saying("deep"))
	for _, c := range []struct {
		method, path, want string
		status             int
	}{
		{http.MethodGet, "/exact", "exact: GET /exact", http.StatusOK},
		{http.MethodDelete, "/exact", "exact: DELETE /exact", http.StatusOK},
		{http.MethodGet, "/exact/", "there is no such RPC", http.StatusNotFound},
		{http.MethodGet, "/tree/a/b", "tree: GET /tree/a/b", http.StatusOK},
		{http.MethodGet, "/tree/", "tree: GET /tree/", http.StatusOK},
		{http.MethodGet, "/tree", "there is no such RPC", http.StatusNotFound},
		{http.MethodGet, "/tree/deep/x", "deep: GET /tree/deep/x", http.StatusOK},
		{http.MethodGet, "/other", "there is no such RPC", http.StatusNotFound},
	} {
		if status, body := g.fetch(t, c.method, c.path, nil); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
	for name, header := range map[string]http.Header{"Origin": {"Origin": {"https://evil.example"}}, "Host": {"Host": {"evil.example"}}} {
		if status, body := g.fetch(t, http.MethodGet, "/exact", header); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	for _, want := range []string{`"procedure":"/exact"`, `"procedure":"/tree/"`} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("the log does not have %s", want)
		}
	}
}

// TestMountMakesCalls fills a gateway that serves one call with requests that each need a call: they
// are refused or served, and none waits for another.
func TestMountMakesCalls(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxCalls = 1 })
	tools := sandgatev1connect.NewToolServiceClient(&loopback.Client{Handler: g.server.Handler(), From: identity.Inside}, "http://localhost")
	g.server.Mount("/tools", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res, err := tools.ListTools(r.Context(), &sandgatev1.ListToolsRequest{})
		_, _ = fmt.Fprintf(w, "%d tools, %v", len(res.GetTools()), connect.CodeOf(err))
	}))
	g.server.Mount("/big", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}))
	if status, body := g.fetch(t, http.MethodGet, "/tools", nil); status != http.StatusOK || !strings.HasPrefix(body, "2 tools") {
		t.Errorf("%d %s", status, body)
	}
	waits := g.waiting(t) // the one place
	if _, body := g.fetch(t, http.MethodGet, "/tools", nil); body != "0 tools, resource_exhausted" {
		t.Errorf("with every place taken: %s", body)
	}
	res, err := g.client.Post(g.url+"/big", "text/plain", strings.NewReader(strings.Repeat("x", MaxMessageBytes+bodySlack+1)))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body without bound: %d", res.StatusCode)
	}
	g.server.stop()
	if err := <-waits; err == nil {
		t.Error("the waiting call ended well")
	}
}

// TestMountDrains ends a server while one of its mounts streams: the stream is told, others are
// refused, and the server waits for both.
func TestMountDrains(t *testing.T) {
	g := newRig(t, nil)
	entered, end := make(chan struct{}), make(chan struct{})
	g.server.Mount("/events", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		select {
		case <-end:
			_, _ = io.WriteString(w, "bye")
		case <-r.Context().Done():
			_, _ = io.WriteString(w, "cut")
		}
	}))
	g.server.OnDrain(func() {
		if status, _ := g.fetch(t, http.MethodGet, "/events", nil); status != http.StatusServiceUnavailable {
			t.Errorf("while it ends: %d", status)
		}
		close(end)
	})
	said := make(chan string, 1)
	go func() {
		_, body := g.fetch(t, http.MethodGet, "/events", nil)
		said <- body
	}()
	<-entered
	if err := g.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := <-said; got != "bye" {
		t.Errorf("the stream said %q", got)
	}
}

func TestVisitsAreBounded(t *testing.T) {
	a := newAdmission(1, alone)
	for range 1 + maxListening {
		if err := a.visit(); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, a.visit(), connect.CodeResourceExhausted, ReasonOverloaded)
	if err := a.enter(""); err != nil {
		t.Errorf("visits took the place of a call: %v", err)
	}
	a.leave("")
	for range 1 + maxListening {
		a.depart()
	}
	if n := a.unsettled(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// TestMountBearing mounts a handler whose requests bring who sends them in their path, and long bodies.
func TestMountBearing(t *testing.T) {
	g := newRig(t, nil)
	g.server.MountBearing("/as/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%s, %d bytes, %v", r.Header["Authorization"], n, err)
	}), func(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/as/") })
	for path, want := range map[string]string{"/as/": "[]", "/as/somebody": "[somebody]"} {
		_, body := g.fetch(t, http.MethodGet, path, http.Header{"Authorization": {"Bearer other", "Bearer another"}})
		if body != want+", 0 bytes, <nil>" {
			t.Errorf("%s: %s", path, body)
		}
	}
	const size = MaxMessageBytes + bodySlack + 1
	res, err := g.client.Post(g.url+"/as/x", "text/plain", strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if body, err := io.ReadAll(res.Body); string(body) != fmt.Sprintf("[x], %d bytes, <nil>", size) {
		t.Errorf("%s, %v", body, err)
	}
}

// TestMountFails has handlers say why requests failed, and cut replies off: no fault of the gateway.
func TestMountFails(t *testing.T) {
	g := newRig(t, nil)
	g.server.Mount("/fails", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Failed(r.Context(), Errorf(connect.CodeOutOfRange, "FAR", "Come nearer.", "too far"))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	}))
	g.server.Mount("/cut", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		Abort(r.Context(), Errorf(connect.CodeAborted, "CUT", "Try again.", "no more"))
	}))
	if status, _ := g.fetch(t, http.MethodGet, "/fails", nil); status != http.StatusRequestedRangeNotSatisfiable {
		t.Error(status)
	}
	res, err := g.client.Get(g.url + "/cut")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(res.Body); string(text) != "half" || err == nil {
		t.Errorf("%q, %v", text, err)
	}
	_ = res.Body.Close()
	for _, want := range []string{`"procedure":"/fails","code":"out_of_range"`, `"procedure":"/cut","code":"aborted"`} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("the log does not have %s: %s", want, g.log)
		}
	}
	if strings.Contains(g.log.String(), "stack") {
		t.Error(g.log)
	}
}
