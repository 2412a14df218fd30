package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/net/http2"
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
	server := &http2.Server{
		MaxConcurrentStreams:         1000,
		MaxReadFrameSize:             maxFrameSize,
		MaxUploadBufferPerConnection: 4 << 20,
		MaxUploadBufferPerStream:     1 << 20,
	}
	current := &conn{link: link, alive: alive}
	for {
		next, err := current.successor()
		if err != nil {
			return fmt.Errorf("channel: %w", err)
		}
		if next == nil { // framing lost: the epoch is over, wait for a sync
			current = &conn{link: link, epoch: current.epoch, alive: alive}
			continue
		}
		if err := link.write(kindAck, next.epoch, next.nonce[:]); err != nil {
			return fmt.Errorf("channel: %w", err)
		}
		alive.beat()
		current = &conn{link: link, epoch: next.epoch, alive: alive}
		server.ServeConn(current, &http2.ServeConnOpts{Context: ctx, Handler: handler})
	}
}

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
