package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// ErrOrphaned is returned by Serve when nobody has held the channel for the orphan timeout.
var ErrOrphaned = errors.New("nobody has held the channel for the orphan timeout")

// ServerOptions tune Serve. The zero value works.
type ServerOptions struct {
	// OrphanTimeout is how long the channel may be without a holder. Zero means one minute. A
	// holder shows that it is there every [PingInterval].
	OrphanTimeout time.Duration
}

// Serve answers requests on stream, for one holder after another, until the stream ends, ctx ends,
// or nobody has held it for the orphan timeout. It closes the stream and returns why.
// When a holder is replaced, the contexts of its requests are cancelled.
func Serve(ctx context.Context, stream io.ReadWriteCloser, handler http.Handler, opts ServerOptions) error {
	if opts.OrphanTimeout == 0 {
		opts.OrphanTimeout = time.Minute
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	alive := newHeartbeat()
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		watchOrphan(ctx, alive, opts.OrphanTimeout, cancel)
	}()
	err := serveHolders(ctx, newLink(stream), handler, alive)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(err)
	<-watcher
	_ = stream.Close()
	return err
}

// serveHolders serves one holder after another until the stream ends.
func serveHolders(ctx context.Context, link *link, handler http.Handler, alive *heartbeat) error {
	queue := &holders{link: link, alive: alive, current: newConn(link, 0, alive)}
	queue.current.end()     // nobody yet
	server := &http.Server{ //nolint:gosec // G112: the only client is the gateway, whose headers may take as long as they do
		Handler:     handler,
		Protocols:   protocols(),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0), // stderr is the engine's to read
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          1000,
			MaxReadFrameSize:              maxFrameSize,
			MaxReceiveBufferPerConnection: 4<<20 - 1,
			MaxReceiveBufferPerStream:     1 << 20,
		},
	}
	err := server.Serve(queue)
	return errors.Join(fmt.Errorf("channel: %w", err), server.Close())
}

// holders is the listener whose connections are the spans of a link, one at a time.
type holders struct {
	link    *link
	alive   *heartbeat
	current *conn
}

// Accept waits until the present holder is through, and then for the next one.
func (h *holders) Accept() (net.Conn, error) {
	<-h.current.over
	for {
		next, err := h.current.successor()
		if err != nil {
			return nil, err
		}
		if next == nil { // framing lost: the epoch is over, wait for a sync
			h.current = newConn(h.link, h.current.epoch, h.alive)
			continue
		}
		h.current = newConn(h.link, next.epoch, h.alive)
		h.alive.beat()
		if err := h.link.write(kindAck, next.epoch, next.nonce[:]); err != nil {
			return nil, err
		}
		return h.current, nil
	}
}

// Close and Addr make a net.Listener. Serve's caller closes the stream.

func (h *holders) Close() error   { return nil }
func (h *holders) Addr() net.Addr { return address{} }

// watchOrphan cancels when no frame of a holder was seen for the timeout.
func watchOrphan(ctx context.Context, alive *heartbeat, timeout time.Duration, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(min(timeout/4+1, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if alive.idle() > timeout {
				cancel(ErrOrphaned)
				return
			}
		}
	}
}
