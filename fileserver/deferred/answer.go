package deferred

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
)

// answer has a handler of this process answer a request, as a transport would from another. The handler's
// context ends when the answer's body is closed. over is called when it has returned.
func answer(handler http.Handler, req *http.Request, over func()) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	asked := req.Clone(ctx)
	asked.Proto, asked.ProtoMajor, asked.ProtoMinor = "HTTP/2.0", 2, 0 // streams go both ways
	asked.RequestURI = req.URL.RequestURI()
	if asked.Body == nil {
		asked.Body = http.NoBody
	}
	out, in := io.Pipe()
	w := &writer{header: http.Header{}, begun: make(chan struct{}), body: in}
	go func() {
		defer over()
		defer cancel()
		err := serve(handler, w, asked)
		if err == nil {
			w.WriteHeader(http.StatusOK) // an empty answer, if nothing was said
		}
		w.WriteHeader(http.StatusInternalServerError)
		_ = asked.Body.Close()     // whoever writes it need not wait for a reader
		_ = in.CloseWithError(err) // never fails; io.EOF for nil
	}()
	select {
	case <-w.begun:
	case <-ctx.Done():
		cancel()
		_ = out.CloseWithError(context.Cause(ctx)) // never fails
		return nil, context.Cause(ctx)
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: w.header.Clone(), Body: &body{PipeReader: out, cancel: cancel}, ContentLength: -1, Request: req,
	}, nil
}

// serve has a handler serve. A panic ends one call, as in a server.
func serve(handler http.Handler, w http.ResponseWriter, req *http.Request) (err error) {
	defer func() {
		if what := recover(); what != nil {
			slog.Error("a call about a session's files panicked", "panic", what, "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	handler.ServeHTTP(w, req)
	return nil
}

// errPanicked is what the caller of a handler that panicked gets.
var errPanicked = errors.New("the file server failed; its log says how")

// body is the body of an answer.
type body struct {
	*io.PipeReader

	cancel context.CancelFunc
}

// Close ends the handler's work.
func (b *body) Close() error {
	b.cancel()
	return b.CloseWithError(errLeft)
}

// errLeft is what a handler gets that writes to a caller who left.
var errLeft = errors.New("the caller has left")

// writer is an http.ResponseWriter whose body is read while it is written.
type writer struct {
	header http.Header
	once   sync.Once
	begun  chan struct{} // closed when the header is written
	status int           // read after begun
	body   *io.PipeWriter
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	w.once.Do(func() {
		w.status = status
		close(w.begun)
	})
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush sends the header: nothing else is held back.
func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }
