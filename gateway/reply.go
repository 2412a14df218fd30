package gateway

import (
	"net/http"
	"sync"
	"time"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
)

// replyWriter notes status and size of a reply, and bounds how long a client may take nothing.
type replyWriter struct {
	http.ResponseWriter

	call    *call
	status  int
	count   int64
	held    *budget // bounds what is being written; nil: nothing does
	control *http.ResponseController
	// request is the body where it is HTTP/1.1's, which is read on one connection with what is written.
	request *body
	http2   bool
	inside  bool        // it goes to the gateway itself, which replies to whoever asked it
	stalled *time.Timer // fires when a write to HTTP/2 has taken too long

	mu      sync.Mutex
	writing bool // so that the deadline may be touched: the stream is the call's still; guarded by mu
}

func newReplyWriter(w http.ResponseWriter, r *http.Request, c *call) *replyWriter {
	return &replyWriter{ResponseWriter: w, call: c, control: http.NewResponseController(w), http2: r.ProtoMajor >= 2, inside: r.RemoteAddr == identity.Inside}
}

// limitRequest sets the deadlines of a request that is answered without a look at its body: the server of
// HTTP/1.1 reads a part of it, so that the connection can be used again, and would wait for it for ever.
func limitRequest(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor < 2 {
		newReplyWriter(w, r, nil).extend()
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyIdle))
	}
}

// begin is told the body, which has bounds of its own from now on.
func (w *replyWriter) begin(request *body) {
	w.request, request.http2 = request, w.http2
	if !w.http2 {
		_ = w.control.SetReadDeadline(time.Time{})
	}
}

// extend gives the client time to take what is written next. A connection of HTTP/1.1 has no bound of
// its own. One of HTTP/2 has, but not against a client that lives and gives a stream no room.
func (w *replyWriter) extend() {
	if !w.http2 {
		_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // without deadlines nothing is lost
	}
}

// bound is called before something is written and returns what to call after it. A deadline on a stream
// of HTTP/2 is a message to its connection, so that one is set only for a write that takes long. The
// server of HTTP/1.1 reads what is left of a request before it answers, for as long as it takes.
func (w *replyWriter) bound() func() {
	if !w.http2 {
		if w.request != nil {
			w.request.giveUp()
		}
		w.extend()
		return func() {}
	}
	w.setWriting(true)
	if w.stalled == nil {
		w.stalled = time.AfterFunc(writeTimeout, w.cutOff)
	} else {
		w.stalled.Reset(writeTimeout)
	}
	return w.relax
}

// cutOff fails the write that is under way.
func (w *replyWriter) cutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing {
		_ = w.control.SetWriteDeadline(time.Now())
	}
}

func (w *replyWriter) relax() {
	w.stalled.Stop()
	w.setWriting(false)
}

func (w *replyWriter) setWriting(writing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = writing
}

// finish is called when nothing more is written: the HTTP server has yet to send what it holds, and may
// read what is left of the request.
func (w *replyWriter) finish() {
	if w.http2 {
		_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout))
		return
	}
	w.extend()
	w.request.giveUp()
}

// WriteHeader notes the first status.
func (w *replyWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write counts. It waits for the client, so that large messages are held against what all may hold: a call
// that is beyond it ends with an error.
func (w *replyWriter) Write(data []byte) (int, error) {
	held := share{budget: w.held}
	if err := held.grow(int64(len(data)) - replyFree); err != nil {
		return 0, err
	}
	defer held.shrink(0)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	relax := w.bound()
	n, err := w.ResponseWriter.Write(data)
	relax()
	w.count += int64(n)
	if w.call != nil && !w.inside {
		w.call.bill.charge(quota.Output, int64(n))
	}
	return n, err
}

// Flush is what Connect asks for after each message of a stream. The last one leaves with the end.
func (w *replyWriter) Flush() {
	if w.call.last.Load() {
		return
	}
	if flusher, ok := w.ResponseWriter.(http.Flusher); ok {
		relax := w.bound()
		flusher.Flush()
		relax()
	}
}

// Unwrap lets http.ResponseController through.
func (w *replyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
