package loopback

import (
	"io"
	"net/http"
	"strings"
)

// reply is what a handler writes to. The handler uses it from one goroutine; sent and status are
// read by the caller after settled is closed, trailer after the end of the body.
type reply struct {
	header  http.Header // the handler's own
	sent    http.Header // as it was when the status was settled
	status  int         // zero: the handler ended without one, by a panic
	trailer http.Header
	body    *pipe
	settled chan struct{}
	done    bool // settled is closed
}

// serve runs the handler to its end.
func (w *reply) serve(handler http.Handler, r *http.Request) {
	defer func() { _ = r.Body.Close() }() // as a server does, and a client must
	defer func() {
		if value := recover(); value != nil {
			w.settle(w.status)
			w.body.end(errPanic)
		}
	}()
	handler.ServeHTTP(w, r)
	w.WriteHeader(http.StatusOK)
	w.end()
}

// Header returns the headers that are sent with the status, and the trailers that come behind.
func (w *reply) Header() http.Header { return w.header }

// WriteHeader settles the status. Later ones are ignored, and so are those that only inform.
func (w *reply) WriteHeader(status int) {
	if !w.done && status >= http.StatusOK {
		w.settle(status)
	}
}

// Write returns once the caller has taken it, or there is room for it.
func (w *reply) Write(data []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(data)
}

// Flush settles the status. What was written can be read already.
func (w *reply) Flush() { w.WriteHeader(http.StatusOK) }

func (w *reply) settle(status int) {
	if w.done {
		return
	}
	w.done = true
	w.status = status
	w.sent = w.header.Clone()
	for name := range w.sent {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			delete(w.sent, name)
		}
	}
	close(w.settled)
}

// end fills in the trailers, announced or prefixed, and closes the body.
func (w *reply) end() {
	for _, names := range w.sent.Values("Trailer") {
		for name := range strings.SplitSeq(names, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values := w.header[name]; len(values) > 0 {
				w.trailer[name] = values
			}
		}
	}
	for name, values := range w.header {
		if plain, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			w.trailer[http.CanonicalHeaderKey(plain)] = values
		}
	}
	w.body.end(io.EOF)
}
