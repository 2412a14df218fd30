package gateway

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// Bounds of reading a request. Time counts only while the gateway waits for the client, so a slow
// sandbox does not end an upload.
const (
	bodyIdle  = 30 * time.Second // between two pieces
	bodyTotal = 2 * time.Minute  // for all of a request that is not a stream
	bodySlack = 64 << 10         // framing around a message
)

// body is the body of a request, counted and bounded in size and time.
type body struct {
	inner   io.ReadCloser
	control *http.ResponseController
	timer   *time.Timer // fires when a read has taken too long
	left    time.Duration
	streams bool
	count   int64

	mu      sync.Mutex
	stopped bool // the deadline must not be touched any more; guarded by mu
}

func newBody(w http.ResponseWriter, inner io.ReadCloser, streams bool) *body {
	if !streams {
		inner = http.MaxBytesReader(w, inner, MaxMessageBytes+bodySlack)
	}
	b := &body{inner: inner, control: http.NewResponseController(w), left: bodyTotal, streams: streams}
	b.timer = time.AfterFunc(bodyIdle, b.expire)
	b.timer.Stop()
	return b
}

// Read reads with a bound on how long the client may take.
func (b *body) Read(into []byte) (int, error) {
	within := bodyIdle
	if !b.streams {
		within = min(within, b.left)
	}
	start := time.Now()
	b.timer.Reset(within)
	n, err := b.inner.Read(into)
	b.timer.Stop()
	b.left -= time.Since(start)
	b.count += int64(n)
	return n, err
}

// Close closes the body.
func (b *body) Close() error { return b.inner.Close() }

// expire fails the read that is under way.
func (b *body) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		_ = b.control.SetReadDeadline(time.Now()) // a transport without deadlines has bounds of its own
	}
}

// stop is called before the handler returns: the connection is not the request's any more then.
func (b *body) stop() {
	b.timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
}
