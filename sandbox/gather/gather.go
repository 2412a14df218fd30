// Package gather makes one write of what is written at about the same time. HTTP/2 writes a message
// frame by frame, and each write is a system call that wakes its reader; on a container's stdio it
// passes through several processes.
package gather

import (
	"io"
	"runtime"
	"sync"
)

const (
	maxQueued = 256 << 10 // bytes; beyond it writers wait
	maxPiece  = 64 << 10  // of one Write that is queued at once
	maxKept   = 64 << 10  // the largest buffer that is kept for the next time
)

// A Writer gathers writes, and makes them on a goroutine of its own: nobody waits for a write unless
// 256 KiB are queued. Its methods may be called by any number of goroutines. An error is that of an
// earlier write, after which nothing more is written. Whoever made it calls Flush at the end.
type Writer struct {
	to io.Writer

	mu       sync.Mutex
	queued   []byte // guarded by mu
	spare    []byte // the buffer that is not in use; guarded by mu
	flushing bool   // a goroutine writes; guarded by mu
	err      error  // why nothing more can be written; guarded by mu
	changed  *sync.Cond
}

// New returns a writer to w.
func New(w io.Writer) *Writer {
	g := &Writer{to: w}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// Append queues what fill appends to the buffer that it is given, whole: nobody else's bytes come
// between. It may be longer than the queue; it should not be much longer.
func (g *Writer) Append(fill func([]byte) []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.queued) >= maxQueued && g.err == nil {
		g.changed.Wait()
	}
	if g.err != nil {
		return g.err
	}
	g.queued = fill(g.queued)
	if !g.flushing {
		g.flushing = true
		go g.flush()
	}
	return nil
}

// Write queues p, in pieces where it is long.
func (g *Writer) Write(p []byte) (int, error) {
	for sent := 0; ; {
		piece := p[sent:min(len(p), sent+maxPiece)]
		if err := g.Append(func(buf []byte) []byte { return append(buf, piece...) }); err != nil {
			return sent, err
		}
		if sent += len(piece); sent == len(p) {
			return sent, nil
		}
	}
}

// flush writes until nothing is queued. Whoever has just queued something is let run first: more
// often than not it has more.
func (g *Writer) flush() {
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
		if g.spare = buf[:0]; cap(buf) > maxKept {
			g.spare = nil
		}
	}
	g.flushing = false
	g.changed.Broadcast()
}

// Idle reports whether nothing is queued or being written.
func (g *Writer) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.flushing
}

// Flush returns when everything queued has been written, or could not be.
func (g *Writer) Flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.flushing {
		g.changed.Wait()
	}
	return g.err
}
