package mcp

import (
	"context"
	"io"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// pair serves a client over streams in memory. It returns the client, its end of what the façade reads,
// and what Serve will.
func (g *rig) pair(ctx context.Context, t *testing.T, revision string, at Place) (*client, io.Closer, <-chan error) {
	t.Helper()
	in, toServer := io.Pipe()
	fromServer, out := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- g.facade.Serve(ctx, in, out, at) }()
	c, err := newClient(t, &sdk.IOTransport{Reader: fromServer, Writer: toServer}, revision)
	if err != nil {
		t.Fatal(err)
	}
	return c, toServer, served
}

// TestServe works over streams: both revisions have one sandbox, which is the process's.
func TestServe(t *testing.T) {
	for _, revision := range []string{legacy, modern} {
		t.Run(revision, func(t *testing.T) {
			g := newRig(t, nil)
			c, _, served := g.pair(t.Context(), t, revision, Place{Template: "data"})
			res, err := c.ListTools(t.Context(), nil)
			if err != nil || len(res.Tools) != 2 {
				t.Fatalf("%v, %v", res, err)
			}
			for range 2 {
				if got := c.python(t, "box"); got != "box-0 data" {
					t.Errorf("a call was in %s", got)
				}
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
			if n := g.engine.open(); n != 0 {
				t.Errorf("%d sandboxes are left", n)
			}
		})
	}
}

// TestServeEnds ends the service under a call, by its context and by its client.
func TestServeEnds(t *testing.T) {
	for _, by := range []string{"context", "client"} {
		t.Run(by, func(t *testing.T) {
			g := newRig(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, toServer, served := g.pair(ctx, t, legacy, Place{})
			ended := g.waiting(t.Context(), t, c, legacy)
			if by == "context" {
				cancel()
			} else {
				_ = toServer.Close()
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
			g.wantCut(t, ended)
			if n := g.engine.open(); n != 0 {
				t.Errorf("%d sandboxes are left", n)
			}
		})
	}
}

// TestServeInASession works in a session of somebody else's, and leaves it there.
func TestServeInASession(t *testing.T) {
	g := newRig(t, nil)
	made, err := g.facade.opts.Sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	c, _, served := g.pair(t.Context(), t, legacy, Place{Session: made.GetSession().GetId()})
	if got := c.python(t, "box"); got != "box-0 python" {
		t.Errorf("the call was in %s", got)
	}
	g.engine.all()[0].die(sandbox.ErrLost)
	until(t, "the loss of the session", func() bool { return g.sessions.Counts().Lost == 1 })
	for range 2 { // no other is made in its place
		if text, res := c.tool(t, "python_run", map[string]any{"code": "box"}); !res.IsError || !strings.Contains(text, "("+gateway.ReasonSessionLost+")\nThe session that this connection was given is gone") {
			t.Errorf("%q", text)
		}
	}
	_ = c.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if counts := g.sessions.Counts(); counts.Lost != 1 || len(g.engine.all()) != 1 {
		t.Errorf("sessions: %+v", counts)
	}
}

func TestServeWhatIsNoMessage(t *testing.T) {
	g := newRig(t, nil)
	err := g.facade.Serve(t.Context(), io.NopCloser(strings.NewReader("hello\n")), discard{}, Place{})
	if err == nil {
		t.Error("it was taken")
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
