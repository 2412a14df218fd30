package guest

import (
	"context"
	"sync"
	"time"
)

// stallLimit is how long a program waits for a reader that has fallen a whole ring behind. After
// that its oldest output is dropped for that reader, which sees a gap in the offsets.
const stallLimit = 5 * time.Second

// ring keeps the last bytes of a stream, each at its offset, for any number of readers.
type ring struct {
	mu      sync.Mutex
	data    []byte // grows to size, then wraps; guarded by mu
	size    int64
	end     int64         // the offset behind the last byte; guarded by mu
	closed  bool          // no more will come; guarded by mu
	changed chan struct{} // closed and replaced at every change; guarded by mu
	readers map[*ringReader]struct{}
}

func newRing(size int64) *ring {
	return &ring{size: size, changed: make(chan struct{}), readers: map[*ringReader]struct{}{}}
}

// ringReader is one reader's place in a ring.
type ringReader struct {
	ring    *ring
	next    int64 // guarded by ring.mu
	lagging bool  // it stalled, nobody waits for it until it reads again; guarded by ring.mu
}

// write adds bytes. It waits a bounded time for readers that would lose some.
func (r *ring) write(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 {
		piece := p[:min(int64(len(p)), r.size)]
		r.makeRoom(int64(len(piece)))
		r.put(piece)
		p = p[len(piece):]
	}
	r.wake()
}

// makeRoom waits while a reader would lose bytes by n more. The caller holds mu.
func (r *ring) makeRoom(n int64) {
	var timer *time.Timer
	for {
		behind := false
		for reader := range r.readers {
			behind = behind || (!reader.lagging && reader.next < r.end+n-r.size)
		}
		if !behind {
			break
		}
		if timer == nil {
			timer = time.NewTimer(stallLimit)
			defer timer.Stop()
		}
		r.wake()
		changed := r.changed
		r.mu.Unlock()
		expired := false
		select {
		case <-changed:
		case <-timer.C:
			expired = true
		}
		r.mu.Lock()
		if expired {
			for reader := range r.readers {
				reader.lagging = reader.lagging || reader.next < r.end+n-r.size
			}
			return
		}
	}
}

// put appends bytes that fit the ring. The caller holds mu.
func (r *ring) put(p []byte) {
	if grow := r.end + int64(len(p)); int64(len(r.data)) < r.size && r.end <= int64(len(r.data)) && grow <= r.size {
		r.data = append(r.data[:r.end], p...)
		r.end = grow
		return
	}
	if int64(len(r.data)) < r.size {
		r.data = append(r.data, make([]byte, r.size-int64(len(r.data)))...)
	}
	for len(p) > 0 {
		n := copy(r.data[r.end%r.size:], p)
		p = p[n:]
		r.end += int64(n)
	}
}

func (r *ring) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// close says that nothing more will come.
func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.wake()
	}
}

// total returns how many bytes were written.
func (r *ring) total() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end
}

// reader returns a reader that begins at an offset. It must be closed.
func (r *ring) reader(offset int64) *ringReader {
	r.mu.Lock()
	defer r.mu.Unlock()
	reader := &ringReader{ring: r, next: min(offset, r.end)}
	r.readers[reader] = struct{}{}
	return reader
}

// read copies the next bytes and returns their offset. Without any it returns a channel that is
// closed at the next change, or nil if there never will be more.
func (rr *ringReader) read(p []byte) (n int, offset int64, changed <-chan struct{}) {
	r := rr.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	rr.lagging = false
	rr.next = max(rr.next, r.end-r.size)
	if rr.next == r.end {
		if r.closed {
			return 0, rr.next, nil
		}
		return 0, rr.next, r.changed
	}
	offset = rr.next
	from := offset
	if int64(len(r.data)) == r.size {
		from = offset % r.size
	}
	available := min(r.end-offset, int64(len(r.data))-from)
	n = copy(p, r.data[from:from+available])
	rr.next += int64(n)
	r.wake()
	return n, offset, r.changed
}

func (rr *ringReader) close() {
	rr.ring.mu.Lock()
	defer rr.ring.mu.Unlock()
	delete(rr.ring.readers, rr)
	rr.ring.wake()
}

// follow passes a ring on until it is closed and read, or ctx ends.
func (rr *ringReader) follow(ctx context.Context, pass func(data []byte, offset int64) error) error {
	buf := make([]byte, chunkSize)
	for {
		n, offset, changed := rr.read(buf)
		if n > 0 {
			if err := pass(buf[:n], offset); err != nil {
				return err
			}
			continue
		}
		if changed == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
