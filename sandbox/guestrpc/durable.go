package guestrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	// forgetTimeout bounds the request that has a guest end or forget a durable one.
	forgetTimeout = 2 * time.Second
	// maxMissed bounds what a guest may say of the messages that it did not keep.
	maxMissed = 1 << 40
)

// errNotKnown is the error of a request that another gateway made and of which the guest knows nothing.
var errNotKnown = errors.New("the sandbox knows nothing of this call")

// durable carries one request of a durable call. What ends such a request in the guest is said
// outright: it cannot see whether a stream broke because its caller had enough or because the gateway
// died.
type durable struct {
	transport http.RoundTripper
	call      *sandbox.Durable
	name      string
}

// roundTrip makes the request or, where another gateway has made it, asks for its answer.
func (d durable) roundTrip(req *http.Request) (*http.Response, error) {
	if d.call.Resumes() {
		return d.resume(req)
	}
	req.Header.Set(sandbox.CallHeader, d.name)
	return d.follow(d.transport.RoundTrip(req))
}

// resume answers a request with what the guest answers to the one that was made before. Nothing of
// the request is sent.
func (d durable) resume(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if req.Body != nil {
		_, err := io.Copy(io.Discard, req.Body) // whoever writes it waits for a reader
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, err
		}
	}
	known, err := d.ask(ctx, http.MethodHead)
	if err != nil {
		return nil, err
	}
	_ = known.Body.Close() // it has none
	if err := d.found(known); err != nil {
		return nil, err
	}
	res, err := d.follow(d.ask(ctx, http.MethodGet))
	if err != nil {
		return nil, err
	}
	if err := d.found(res); err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	if missed, err := strconv.ParseInt(res.Header.Get(sandbox.MissedHeader), 10, 64); err == nil && missed > 0 {
		d.call.Miss(min(missed, maxMissed))
	}
	return res, nil
}

// found notes whether the guest knows the request.
func (d durable) found(res *http.Response) error {
	known := res.StatusCode != http.StatusNotFound
	d.call.Found(known)
	if !known {
		return errNotKnown
	}
	return nil
}

// ask asks the guest about the request.
func (d durable) ask(ctx context.Context, method string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, sandbox.GuestURL+sandbox.CallPath, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask about a call: %w", err)
	}
	req.Header.Set(sandbox.CallHeader, d.name)
	return d.transport.RoundTrip(req)
}

// follow watches how an answer ends: one that its reader leaves ends the work behind it.
func (d durable) follow(res *http.Response, err error) (*http.Response, error) {
	if err != nil {
		d.forget(context.Background())
		return nil, err
	}
	res.Body = &durableBody{ReadCloser: res.Body, durable: d}
	return res, nil
}

// forget has the guest end the work and forget what it answered. Where the channel is gone this fails
// at once, and the work goes on for whoever takes the sandbox over.
func (d durable) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTimeout)
	defer cancel()
	if res, err := d.ask(ctx, http.MethodDelete); err == nil {
		_ = res.Body.Close() // it has none
	}
}

// durableBody is the answer to a durable request.
type durableBody struct {
	io.ReadCloser

	durable durable
	over    atomic.Bool // its end was read, or it was left
}

// Read reads on. Once the end was read, the guest keeps the answer until that is written down.
func (b *durableBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && b.over.CompareAndSwap(false, true) {
		b.durable.call.OnSettled(b.durable.forget)
	}
	return n, err
}

// Close ends the work if the end of its answer was not read.
func (b *durableBody) Close() error {
	err := b.ReadCloser.Close()
	if b.over.CompareAndSwap(false, true) {
		b.durable.forget(context.Background())
	}
	return err
}
