package channel

import (
	"io"
	"runtime"
	"sync"
)

const (
	maxQueued = 256 << 10 // bytes; beyond it writers wait
	maxKept   = 64 << 10  // the largest buffer that is kept for the next time
)

// writer gathers what is written at about the same time into one write to the stream. HTTP/2 writes
// the head, the body and the end of a message one by one, and each write to a container's stdio
// passes through several processes.
type writer struct {
	stream io.Writer

	mu       sync.Mutex
	queued   []byte // guarded by mu
	spare    []byte // the buffer that is not in use; guarded by mu
	flushing bool   // a goroutine writes; guarded by mu
	err      error  // why nothing more can be written; guarded by mu
	room     *sync.Cond
}

func newWriter(stream io.Writer) *writer {
	w := &writer{stream: stream}
	w.room = sync.NewCond(&w.mu)
	return w
}

// add queues what fill appends, waiting while too much is queued.
func (w *writer) add(fill func([]byte) []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queued) > maxQueued && w.err == nil {
		w.room.Wait()
	}
	if w.err != nil {
		return w.err
	}
	w.queued = fill(w.queued)
	if !w.flushing {
		w.flushing = true
		go w.flush()
	}
	return nil
}

// flush writes until nothing is queued. Whoever has just queued something is let run first: more
// often than not it has more.
func (w *writer) flush() {
	runtime.Gosched()
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queued) > 0 && w.err == nil {
		buf := w.queued
		w.queued = w.spare[:0]
		w.room.Broadcast()
		w.mu.Unlock()
		_, err := w.stream.Write(buf)
		w.mu.Lock()
		w.err = err
		if w.spare = buf[:0]; cap(buf) > maxKept {
			w.spare = nil
		}
	}
	w.flushing = false
	w.room.Broadcast()
}
