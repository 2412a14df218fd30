package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// line is how a faultProxy treats what goes through it. The zero value hands everything on.
type line struct {
	latency time.Duration // before each piece
	slice   int           // bytes of a piece; 0: as they come
	hang    bool          // nothing is handed on while it is true, and nothing is lost
	answer  string        // in place of the engine's, to whoever says something
	reset   bool          // every connection is closed, and new ones at once
}

// faultProxy stands before an engine's socket.
type faultProxy struct {
	listener net.Listener
	upstream string
	work     sync.WaitGroup

	mu      sync.Mutex
	line    line
	changed chan struct{} // closed, and replaced, when line changes
	open    map[net.Conn]struct{}
}

// newFaultProxy serves a socket that leads to another one, until the test ends.
func newFaultProxy(t *testing.T, upstream string) (*faultProxy, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.sock")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := &faultProxy{listener: listener, upstream: upstream, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	p.work.Go(p.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		p.set(line{reset: true})
		p.work.Wait()
	})
	return p, "unix://" + path
}

// set changes how everything is treated from now on, open connections included.
func (p *faultProxy) set(to line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = to
	close(p.changed)
	p.changed = make(chan struct{})
	if to.reset {
		for conn := range p.open {
			_ = conn.Close()
		}
	}
}

func (p *faultProxy) now() (line, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line, p.changed
}

func (p *faultProxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.join(client) })
	}
}

// join connects a client with the engine until either is done.
func (p *faultProxy) join(client net.Conn) {
	engine, err := new(net.Dialer).DialContext(context.Background(), "unix", p.upstream)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.open[client], p.open[engine] = struct{}{}, struct{}{}
	reset := p.line.reset
	p.mu.Unlock()
	if reset {
		_ = client.Close()
	}
	both := func() { _, _ = client.Close(), engine.Close() }
	var pumps sync.WaitGroup
	pumps.Go(func() { p.pump(client, engine, client); both() })
	pumps.Go(func() { p.pump(engine, client, client); both() })
	pumps.Wait()
	p.mu.Lock()
	delete(p.open, client)
	delete(p.open, engine)
	p.mu.Unlock()
}

// pump hands on what comes from a connection as the line says.
func (p *faultProxy) pump(from, to, client net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			line, changed := p.now()
			switch {
			case line.hang:
				<-changed
				continue
			case line.answer != "" && from == client:
				_, _ = io.WriteString(client, line.answer)
				return
			}
			time.Sleep(line.latency) //nolint:forbidigo // this is the fault
			piece := rest
			if line.slice > 0 {
				piece = rest[:min(line.slice, len(rest))]
			}
			if _, err := to.Write(piece); err != nil {
				return
			}
			rest = rest[len(piece):]
		}
		if err != nil {
			return
		}
	}
}

// Through a bad line to a good engine: callers are not held, what can go on does, and all is well afterwards.
func TestEngineBehindABadLine(t *testing.T) {
	socket, local := strings.CutPrefix(testEngine(t).DaemonHost(), "unix://")
	if !local {
		t.Skip("the engine is not behind a unix socket")
	}
	const refusal = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 18\r\nConnection: close\r\n\r\n{\"message\":\"oops\"}"
	for _, test := range []struct {
		name     string
		line     line
		survives bool // a sandbox that there was before
		creates  bool // sandboxes can be made all the while
	}{
		{"slices", line{slice: 100}, true, true},
		{"slow", line{latency: 5 * time.Second}, true, false},
		{"hangs", line{hang: true}, true, false},
		{"refuses", line{answer: refusal}, false, false},
		{"resets", line{reset: true}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxy, host := newFaultProxy(t, socket)
			driver := newTestDriver(t, func(o *Options) { o.Host = host })
			if _, err := driver.Reconcile(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			reaper := StartReaper(driver, time.Hour)
			t.Cleanup(reaper.Close)
			box := create(t, driver, testSpec("runc"))
			call := beginEcho(t, box)

			proxy.set(test.line)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			made, err := driver.Create(ctx, testSpec("runc"))
			if test.creates && err != nil || !test.creates && (!errors.Is(err, sandbox.ErrUnavailable) || ctx.Err() != nil) {
				t.Errorf("Create = %v; it can be made: %v", err, test.creates)
			}
			if !test.survives {
				_, _ = call.input.Write([]byte("lost")) // where only what is said is refused
				call.wantsLoss(t, box)
			}
			proxy.set(line{})
			if test.survives {
				call.wantsAnswer(t)
				closeBox(t, box)
			}
			if made == nil {
				eventually(t, "a sandbox to be made again", func() bool {
					made, err = driver.Create(t.Context(), testSpec("runc"))
					return err == nil
				})
			}
			closeBox(t, made)
			eventually(t, "nothing of ours to be left", func() bool { return len(owned(t, driver)) == 0 })
		})
	}
}
