package mcp

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandgate/sandgate/gateway"
)

// patience bounds every wait of these tests. It is no assertion about speed.
const patience = 30 * time.Second

// until waits for something that happens by itself.
func until(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ready(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// waiting begins a call that lasts until it is cancelled, in a session of its own.
func (g *rig) waiting(ctx context.Context, t *testing.T, c *client, revision string) <-chan error {
	t.Helper()
	arguments := map[string]any{"code": "wait"}
	if revision == modern {
		arguments[sessionName] = c.newSession(t)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.CallTool(ctx, &sdk.CallToolParams{Name: "python_run", Arguments: arguments})
		ended <- err
	}()
	<-g.runs
	return ended
}

// wantCut waits for the end of a call that was begun by waiting, and of the work inside: neither ended
// by itself.
func (g *rig) wantCut(t *testing.T, ended <-chan error) {
	t.Helper()
	if err := <-g.ended; err == nil {
		t.Error("the work ended without a reason")
	}
	if err := <-ended; err == nil {
		t.Error("the call ended well")
	}
}

// TestCancel has a client cancel a call: the work inside ends, and the session goes on.
func TestCancel(t *testing.T) {
	for _, revision := range []string{legacy, modern} {
		t.Run(revision, func(t *testing.T) {
			g := newRig(t, nil)
			c := g.connect(t, revision, nil, "")
			ctx, cancel := context.WithCancel(t.Context())
			ended := g.waiting(ctx, t, c, revision)
			cancel()
			g.wantCut(t, ended)
			if n := g.engine.open(); n != 1 {
				t.Errorf("%d sandboxes", n)
			}
			if revision == legacy {
				if got := c.python(t, "box"); got != "box-0 python" {
					t.Errorf("the next call was in %s", got)
				}
			}
		})
	}
}

// TestRequestThatEnds cuts the HTTP request of a call off, as a client that dies does.
func TestRequestThatEnds(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, legacy, nil, "")
	c.python(t, "box")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-g.runs
		cancel()
	}()
	header := c.headers()
	header.Set(visitHeader, "1") // which is not the client's to say
	res, err := g.open(ctx, t, http.MethodPost, header,
		`{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"python_run","arguments":{"code":"wait"}}}`)
	if err == nil {
		_, _ = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err := <-g.ended; err == nil {
		t.Error("the work ended without a reason")
	}
	if got := c.python(t, "box"); got != "box-0 python" {
		t.Errorf("the next call was in %s", got)
	}
}

// TestDelete ends a session with a call in it: when the client is told, nothing is left.
func TestDelete(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, legacy, nil, "")
	ended := g.waiting(t.Context(), t, c, legacy)
	// The SDK's own client would wait for the call first.
	if status, body := g.raw(t, http.MethodDelete, c.headers(), ""); status != http.StatusNoContent {
		t.Errorf("%d %s", status, body)
	}
	if n := g.engine.open(); n != 0 {
		t.Errorf("%d sandboxes are left", n)
	}
	g.wantCut(t, ended)
	g.facade.sessions.mu.Lock()
	defer g.facade.sessions.mu.Unlock()
	if n := len(g.facade.sessions.all); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestIdle leaves a session alone: first its sandbox ends, of which the model is told, then itself.
func TestIdle(t *testing.T) {
	g := newRig(t, func(o *Options, _ *gateway.Options) { o.Lease = time.Second })
	c := g.connect(t, legacy, nil, "")
	c.python(t, "box")
	until(t, "the end of the lease", func() bool { return g.engine.open() == 0 })
	if text, res := c.tool(t, "python_run", map[string]any{"code": "box"}); !res.IsError || !strings.Contains(text, "(SESSION_NOT_FOUND)\nThe session was lost") {
		t.Errorf("%q", text)
	}
	if got := c.python(t, "box"); got != "box-1 python" {
		t.Errorf("then: %s", got)
	}
	until(t, "the end of the session", func() bool { return g.facade.sessions.find(c.ID(), "") == nil })
	until(t, "the end of its sandbox", func() bool { return g.engine.open() == 0 })
	if _, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "python_run"}); err == nil {
		t.Error("a call went to a session that is no more")
	}
}

// TestDrain ends the gateway under clients that listen for events, one with a call: they are let go at
// once, and the call ends by itself.
func TestDrain(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, legacy, nil, "") // the SDK's client opens the stream of events
	c.python(t, "box")
	until(t, "the stream of events", func() bool { return g.listens(t, c) })
	texts := make(chan string, 1)
	go func() { texts <- c.python(t, "silent") }()
	<-g.runs
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- g.server.Shutdown(ctx) }()
	<-g.facade.drained
	if status, body := g.raw(t, http.MethodPost, c.headers(), "{}"); status != http.StatusServiceUnavailable {
		t.Errorf("a new request: %d %s", status, body)
	}
	close(g.goOn)
	if got := <-texts; got != "" {
		t.Errorf("the call: %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestShutdownCutsOff ends the gateway under a call that does not end.
func TestShutdownCutsOff(t *testing.T) {
	g := newRig(t, nil)
	var calls []<-chan error
	for _, revision := range []string{legacy, modern} {
		calls = append(calls, g.waiting(t.Context(), t, g.connect(t, revision, nil, ""), revision))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.server.Shutdown(ctx); err == nil {
		t.Error("it was cut off and does not say so")
	}
	for _, ended := range calls {
		g.wantCut(t, ended)
	}
}

// listens tells whether the stream of a client's events is open: another one is refused then.
func (g *rig) listens(t *testing.T, c *client) bool {
	t.Helper()
	header := c.headers()
	header.Set("Accept", "text/event-stream")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res, err := g.open(ctx, t, http.MethodGet, header, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode == http.StatusConflict
}
