package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// cutter is a way to a gateway that breaks when it is told to.
type cutter struct {
	to  string
	url string

	mu    sync.Mutex
	open  []net.Conn // guarded by mu
	block bool       // whoever comes is turned away; guarded by mu
}

// newCutter opens a way to a gateway.
func newCutter(t *testing.T, gateway string) *cutter {
	t.Helper()
	target, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{to: target.Host, url: "http://" + listener.Addr().String()}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.carry(conn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		accepting.Wait()
		c.cut(true)
	})
	return c
}

// carry copies between a client and the gateway until either leaves.
func (c *cutter) carry(client net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.block {
		_ = client.Close()
		return
	}
	var dialer net.Dialer
	server, err := dialer.DialContext(context.Background(), "tcp", c.to)
	if err != nil {
		_ = client.Close()
		return
	}
	c.open = append(c.open, client, server)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() { // ends when either end is closed
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		}()
	}
}

// cut breaks what goes through, and turns away who comes until it is told otherwise.
func (c *cutter) cut(block bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.open, c.block = nil, block
}

// waitForGo is a command that says when it runs and ends when it is told to.
const waitForGo = `{"command": "echo x >>ran; echo begun; until [ -e go ]; do sleep 0.05; done; wc -l <ran; exit 7"}`

// TestCallOutlivesItsConnection breaks the connection of a call twice, the second time for a while.
func TestCallOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	gateway := serveBoth(t, newWired(t).server.Handler())
	way := newCutter(t, gateway)
	session := output(t, gateway, "session", "create")
	call := newProgram(t, way.url, "call", "shell_run", "--session", session, "--call-id", "c1", "--events", "--json", waitForGo).start(t)
	call.expect(t, `"sequence":"1"`)
	way.cut(false)
	call.expect(t, "following call c1 again, try 1 of 8")
	way.cut(true)
	call.expect(t, "try 2 of 8")
	way.cut(false)
	output(t, gateway, "call", "file_write", "--session", session, "--json", `{"path": "go", "text": ""}`)
	call.ends(t, 7)
	if out := call.out.String(); strings.Count(out, `"sequence":"1"`) != 1 || strings.Count(out, "\n{\"result\":") != 1 {
		t.Errorf("it printed:\n%s", out)
	}
	ran := output(t, gateway, "call", "file_read", "--session", session, "--json", `{"path": "ran"}`)
	if strings.Count(ran, "x") != 1 {
		t.Errorf("it ran more than once: %q", ran)
	}
}

// TestLeavingACall: Ctrl-C leaves it running, and says how to come back.
func TestLeavingACall(t *testing.T) {
	t.Parallel()
	gateway := serveBoth(t, newWired(t).server.Handler())
	session := output(t, gateway, "session", "create")
	call := newProgram(t, gateway, "call", "shell_run", "--session", session, "--call-id", "c1", "--events", "--json", waitForGo).start(t)
	call.expect(t, `"sequence":"1"`)
	call.signal(t, os.Interrupt)
	call.expect(t, "`sandgate calls attach c1 --after 1` follows it, `sandgate calls cancel c1` ends it")
	call.ends(t, exitInterrupted)
	attached := newProgram(t, gateway, "calls", "attach", "c1").start(t)
	output(t, gateway, "call", "file_write", "--session", session, "--json", `{"path": "go", "text": ""}`)
	attached.expect(t, "begun\n1\n")
	attached.ends(t, 7)
}

// TestCallThatNeverArrived: where the connection breaks before the gateway knows the call, it is not sent
// again behind its caller's back.
func TestCallThatNeverArrived(t *testing.T) {
	t.Parallel()
	whole := newWired(t).server.Handler()
	gateway := serveBoth(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/StreamTool") {
			panic(http.ErrAbortHandler) // as a proxy that dies with the request in its hands
		}
		whole.ServeHTTP(w, r)
	}))
	session := output(t, gateway, "session", "create")
	call := newProgram(t, gateway, "call", "shell_run", "--session", session, "--call-id", "c1", "--json", waitForGo).start(t)
	call.expect(t, "following call c1 again")
	call.expect(t, "make it again with the same --call-id, which runs it once at most")
	call.ends(t, exitNotRun)
	list, err := newClient(gateway, "", nil).calls.ListCalls(t.Context(), &sandgatev1.ListCallsRequest{})
	if err != nil || len(list.GetCalls()) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestGivingUpOnACall: a gateway that does not come back is asked for a while, and no longer.
func TestGivingUpOnACall(t *testing.T) {
	t.Parallel()
	follower := &callFollower{callID: "c1", last: 4}
	err := follower.pause(t.Context(), attachTries, errNoResult)
	if _, hint := explain(err); exitCode(err) != exitNotRun || !strings.Contains(hint, "sandgate calls attach c1 --after 4") {
		t.Errorf("%v: %s", err, hint)
	}
}
