package gateway

import (
	"net/http"
	"time"

	"github.com/sandgate/sandgate/gateway/quota"
)

// replyWriter notes status and size of a reply, and bounds how long a client may take nothing.
type replyWriter struct {
	http.ResponseWriter

	call   *call
	status int
	count  int64
	held   *budget // bounds what is being written; nil: nothing does
	// control sets deadlines on a connection that has no bound of its own, which is one of
	// HTTP/1.1: HTTP/2 has a timeout for writing. Nil where none are set.
	control *http.ResponseController
}

func newReplyWriter(w http.ResponseWriter, r *http.Request, c *call) *replyWriter {
	reply := &replyWriter{ResponseWriter: w, call: c}
	if r.ProtoMajor < 2 {
		reply.control = http.NewResponseController(w)
	}
	return reply
}

// extend gives the client time to take what is written next.
func (w *replyWriter) extend() {
	if w.control != nil {
		_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // without deadlines nothing is lost
	}
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
	w.extend()
	n, err := w.ResponseWriter.Write(data)
	w.count += int64(n)
	if w.call != nil {
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
		flusher.Flush()
	}
}

// Unwrap lets http.ResponseController through.
func (w *replyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
