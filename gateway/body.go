package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
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
	bodyFree  = 64 << 10         // of a body are not charged: small requests always find room
	gzipMost  = 1032             // bytes come out of one of gzip
)

// body is the body of a request, counted and bounded in size and time.
type body struct {
	inner   io.ReadCloser
	ctx     context.Context //nolint:containedctx // the request's: tells whether the client left
	control *http.ResponseController
	timer   *time.Timer // fires when a read has taken too long
	left    time.Duration
	streams bool
	packed  bool  // it is compressed
	ended   bool  // all of it was read
	http2   bool  // nobody reads what the handler leaves
	inURL   int64 // bytes of a compressed message that is no body
	count   int64
	digest  hash.Hash // of what was read; nil: nobody wants to know
	share   share     // of what all bodies may hold; a stream passes its bytes on and holds none

	mu      sync.Mutex
	stopped bool // the deadline must not be touched any more; guarded by mu
	given   bool // up, by a deadline of its own; guarded by mu
}

func newBody(w http.ResponseWriter, r *http.Request, streams bool) *body {
	inner := r.Body
	none := inner == http.NoBody
	if !streams {
		inner = http.MaxBytesReader(w, inner, MaxMessageBytes+bodySlack)
	}
	b := &body{inner: inner, ctx: r.Context(), control: http.NewResponseController(w), left: bodyTotal, streams: streams, ended: none}
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
	if b.digest != nil {
		_, _ = b.digest.Write(into[:n]) // never fails
	}
	b.ended = b.ended || errors.Is(err, io.EOF)
	if chargeErr := b.share.grow(b.weight() - bodyFree); chargeErr != nil {
		return n, chargeErr
	}
	return n, bodyError(b.ctx, err)
}

// charge lets what is read from now on count against a budget, and a compressed message in the URL at
// once.
func (b *body) charge(held *budget, r *http.Request) error {
	if b.streams {
		return nil
	}
	b.share.budget = held
	for _, name := range []string{"Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding"} {
		b.packed = b.packed || isPacked(r.Header.Get(name))
	}
	if r.Method == http.MethodGet && isPacked(r.URL.Query().Get("compression")) {
		b.packed, b.inURL = true, int64(len(r.URL.RawQuery))
	}
	return b.share.grow(b.weight() - bodyFree)
}

// hash has the request hashed while it is read. That of a GET is in its URL.
func (b *body) hash(r *http.Request) {
	b.digest = sha256.New()
	if r.Method == http.MethodGet {
		_, _ = b.digest.Write([]byte(r.URL.RawQuery)) // never fails
	}
}

// sum returns the hash of what was read, in hex, empty where it was not asked for.
func (b *body) sum() string {
	if b.digest == nil {
		return ""
	}
	return hex.EncodeToString(b.digest.Sum(nil))
}

func isPacked(encoding string) bool { return encoding != "" && encoding != "identity" }

// weight returns how many bytes the request may hold. What a compressed one becomes is not known before
// it is decompressed, and then it is too late to refuse it.
func (b *body) weight() int64 {
	if b.packed {
		return b.count + min((b.count+b.inURL)*gzipMost, MaxMessageBytes)
	}
	return b.count
}

// decoded is called when the size of what the body has become is known.
func (b *body) decoded(size int) {
	b.share.shrink(max(bodyFree, b.count, int64(size)) - bodyFree)
}

// Close closes the body. The server of HTTP/1.1 reads a part of what is left then.
func (b *body) Close() error {
	b.giveUp()
	return b.inner.Close()
}

// giveUp bounds how long is waited for what is left of a body that nobody wants any more. The server of
// HTTP/1.1 reads some of it, before it answers or afterwards, to use the connection again, and would
// wait for ever. Once the body has ended it takes the deadline away by itself.
func (b *body) giveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.http2 || b.ended || b.stopped || b.given {
		return
	}
	b.given = true
	_ = b.control.SetReadDeadline(time.Now().Add(bodyIdle))
}

// expire fails the read that is under way.
func (b *body) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.given = true
		_ = b.control.SetReadDeadline(time.Now()) // a transport without deadlines has bounds of its own
	}
}

// stop is called before the handler returns: the connection is not the request's any more then, and
// what it held is given back.
func (b *body) stop() {
	b.timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.share.shrink(0)
}
