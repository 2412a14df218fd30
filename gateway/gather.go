package gateway

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	maxGathered   = 256 << 10   // bytes; beyond it writers wait
	maxGatherKept = 64 << 10    // the largest buffer that is kept for the next time
	gatherClose   = time.Second // for what is still to be written when a connection is closed
)

// A GatherWriter gathers what is written at about the same time into one write, which it makes on a
// goroutine of its own: HTTP/2 writes a reply frame by frame, and each write is a system call that
// wakes the reader. A log line written through it costs its call no time. Any number of goroutines
// may write. An error is that of an earlier write. Whoever made it calls Flush at the end.
type GatherWriter struct {
	to io.Writer

	mu       sync.Mutex
	queued   []byte // guarded by mu
	spare    []byte // the buffer that is not in use; guarded by mu
	flushing bool   // a goroutine writes; guarded by mu
	err      error  // why nothing more can be written; guarded by mu
	changed  *sync.Cond
}

// NewGatherWriter returns a writer to w.
func NewGatherWriter(w io.Writer) *GatherWriter {
	g := &GatherWriter{to: w}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// Write queues p, waiting while 256 KiB are queued.
func (g *GatherWriter) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for sent := 0; ; {
		for len(g.queued) >= maxGathered && g.err == nil {
			g.changed.Wait()
		}
		if g.err != nil {
			return sent, g.err
		}
		piece := p[sent:min(len(p), sent+maxGathered-len(g.queued))]
		g.queued = append(g.queued, piece...)
		if !g.flushing {
			g.flushing = true
			go g.flush()
		}
		if sent += len(piece); sent == len(p) {
			return sent, nil
		}
	}
}

// flush writes until nothing is queued. Whoever has just queued something is let run first: more
// often than not it has more.
func (g *GatherWriter) flush() {
	runtime.Gosched()
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.queued) > 0 && g.err == nil {
		buf := g.queued
		g.queued = g.spare[:0]
		g.changed.Broadcast()
		g.mu.Unlock()
		_, err := g.to.Write(buf)
		g.mu.Lock()
		g.err = err
		if g.spare = buf[:0]; cap(buf) > maxGatherKept {
			g.spare = nil
		}
	}
	g.flushing = false
	g.changed.Broadcast()
}

// idle reports whether nothing is queued or being written.
func (g *GatherWriter) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.flushing
}

// Flush returns when everything queued has been written, or could not be.
func (g *GatherWriter) Flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.flushing {
		g.changed.Wait()
	}
	return g.err
}

// gatherListener's connections read through a buffer and gather their writes.
type gatherListener struct{ net.Listener }

// Accept waits for a connection.
func (l gatherListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatherConn{Conn: conn, in: bufio.NewReader(conn), out: NewGatherWriter(deadlineWriter{conn})}, nil
}

// gatherConn bounds every write to the connection below: a client that takes nothing is cut off.
type gatherConn struct {
	net.Conn
	in  *bufio.Reader
	out *GatherWriter
}

func (c *gatherConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *gatherConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close closes the connection once what is queued has been written, which it does not wait for: a
// server that ends closes its connections one after another.
func (c *gatherConn) Close() error {
	if c.out.idle() {
		return c.Conn.Close()
	}
	go func() {
		_ = c.SetDeadline(time.Now().Add(gatherClose))
		_ = c.out.Flush()
		_ = c.Conn.Close()
	}()
	return nil
}

// CloseWrite closes the writing half, as HTTP/1 asks for before it closes.
func (c *gatherConn) CloseWrite() error {
	_ = c.SetWriteDeadline(time.Now().Add(gatherClose))
	if err := c.out.Flush(); err != nil {
		return err
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// deadlineWriter gives each write to a connection a time of its own.
type deadlineWriter struct{ net.Conn }

func (w deadlineWriter) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}
