// Package loopback lets code call a handler of its own process as any client does: a [Client] hands requests
// to an http.Handler instead of a socket. What guards an API, such as keys, bounds and the log, holds for such
// a call as for every other.
package loopback

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
)

// errPanic is what the caller gets of a handler that panicked. The value may hold anything, so it
// stays where the handler's own recovery has logged it.
var errPanic = errors.New("the handler panicked")

// Client is an HTTP client of one handler. It does what [http.Client] does for a server, with
// streams, trailers and cancellation, and follows no redirect. It may be used by any number of
// goroutines.
type Client struct {
	// Handler serves every request, each in a goroutine of its own that ends with the handler.
	// What the handler writes waits until it is read, but for 64 KiB.
	Handler http.Handler
	// From is the remote address that the handler sees. Empty means none.
	From string
}

// Do calls the handler and returns once it has settled its status. The response's body must be
// closed; that, or the end of the request's context, ends the context that the handler has. That
// context holds none of the values of the request's: nothing crosses but what would cross a socket.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	through := newPipe()
	w := &reply{header: make(http.Header), trailer: make(http.Header), body: through, settled: make(chan struct{})}
	stop := context.AfterFunc(r.Context(), func() {
		cause := context.Cause(r.Context())
		through.end(cause) // first, so that nothing the handler does now looks like a whole reply
		cancel(cause)
		if r.Body != nil {
			_ = r.Body.Close() // the handler may be waiting for more of it
		}
	})
	go func() {
		defer stop()
		defer cancel(nil)
		w.serve(c.Handler, received(ctx, r, c.From))
	}()
	select {
	case <-w.settled:
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	if w.status == 0 {
		return nil, errPanic
	}
	res := &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: w.sent, Trailer: make(http.Header), ContentLength: -1,
		Request: r,
	}
	res.Body = &body{reader: through, cancel: cancel, reply: w, trailer: res.Trailer}
	return res, nil
}

// received returns the request as a server would have got it.
func received(ctx context.Context, r *http.Request, from string) *http.Request {
	in := r.WithContext(ctx)
	in.Header = r.Header.Clone()
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/2.0", 2, 0
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = from
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	} else {
		in.Body = sent{r.Body, r.Context()}
	}
	return in
}

// sent is the body of a request, whose sender may leave before its end. What ends it then looks like an
// ordinary end, as that is how Connect's client closes what it sends; a half request must not.
type sent struct {
	io.ReadCloser

	ctx context.Context //nolint:containedctx // the request's: tells whether the sender left
}

// Read reads what the sender sends.
func (b sent) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if err != nil && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

// body is the reply's body. One goroutine uses it.
type body struct {
	reader  *pipe
	cancel  context.CancelCauseFunc
	reply   *reply
	trailer http.Header // the response's, filled when the end has been read
}

// Read reads what the handler writes.
func (b *body) Read(into []byte) (int, error) {
	n, err := b.reader.Read(into)
	if errors.Is(err, io.EOF) {
		maps.Copy(b.trailer, b.reply.trailer)
	}
	return n, err
}

// Close tells the handler that nobody listens any more, and ends its context.
func (b *body) Close() error {
	b.reader.leave()
	b.cancel(context.Canceled)
	return nil
}
