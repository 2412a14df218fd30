package mcp

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// lingerTime is how long requests may go on whose client has closed its stream. It may read on: a script
// that pipes requests in does. One that left loses work that nobody waits for.
const lingerTime = 3 * time.Second

// lingering is a transport whose connections end their reading when the requests that were read are
// answered, but lingerTime after the end of the stream at the latest. The SDK by itself cancels them.
type lingering struct{ sdk.Transport }

// Connect opens the transport.
func (l lingering) Connect(ctx context.Context) (sdk.Connection, error) {
	conn, err := l.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &lingeringConn{Connection: conn, closed: make(chan struct{})}, nil
}

// lingeringConn hides from the SDK that the connection wants to know the revision, which it does to
// refuse batches of messages in newer ones: they are taken in all.
type lingeringConn struct {
	sdk.Connection
	closed chan struct{}
	close  sync.Once

	mu       sync.Mutex
	open     int           // requests that are not answered; guarded by mu
	answered chan struct{} // closed when open falls to zero; nil: nobody waits for that; guarded by mu
}

func (c *lingeringConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	message, err := c.Connection.Read(ctx)
	if errors.Is(err, io.EOF) {
		c.linger(ctx)
	}
	if request, ok := message.(*jsonrpc.Request); ok && err == nil && request.IsCall() {
		c.mu.Lock()
		c.open++
		c.mu.Unlock()
	}
	return message, err
}

// linger waits until every request is answered, for lingerTime at most.
func (c *lingeringConn) linger(ctx context.Context) {
	answered := make(chan struct{})
	c.mu.Lock()
	if c.open <= 0 {
		close(answered)
	} else {
		c.answered = answered
	}
	c.mu.Unlock()
	timer := time.NewTimer(lingerTime)
	defer timer.Stop()
	select {
	case <-answered:
	case <-c.closed:
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (c *lingeringConn) Write(ctx context.Context, message jsonrpc.Message) error {
	err := c.Connection.Write(ctx, message)
	if _, ok := message.(*jsonrpc.Response); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open--
		if c.open == 0 && c.answered != nil {
			close(c.answered)
			c.answered = nil
		}
	}
	return err
}

func (c *lingeringConn) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Connection.Close()
}
