// Package gather makes one write of what is written at about the same time, and has whoever moves much wait until
// there is much to do ([Descriptor]). HTTP/2 writes a message
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
	maxKept   = 64 << 10  // the largest buffer that a writer keeps for the next time
	largeSize = maxQueued + 2*maxPiece
)

// large are buffers for a full queue: no writer has one for longer than it needs it, and what moves a file
// does not have the collector clean up after every piece.
var large = sync.Pool{New: func() any { return new([largeSize]byte) }} //nolint:gochecknoglobals // memory has no owner

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
// between. It has about so many bytes, which should be few beside the queue.
func (g *Writer) Append(size int, fill func([]byte) []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.queued) >= maxQueued && g.err == nil {
		g.changed.Wait()
	}
	if g.err != nil {
		return g.err
	}
	if need := len(g.queued) + size; need > max(cap(g.queued), maxKept) && need <= largeSize {
		if room, ok := large.Get().(*[largeSize]byte); ok {
			g.queued = append(room[:0], g.queued...)
		}
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
		if err := g.Append(len(piece), func(buf []byte) []byte { return append(buf, piece...) }); err != nil {
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
		g.spare = keep(buf)
	}
	g.flushing = false
	g.queued = keep(g.queued)
	g.changed.Broadcast()
}

// keep returns an empty buffer for the next time, if that is not too large to wait for it.
func keep(buf []byte) []byte {
	switch {
	case cap(buf) <= maxKept:
		return buf[:0]
	case cap(buf) == largeSize:
		large.Put((*[largeSize]byte)(buf[:largeSize]))
	}
	return nil
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
