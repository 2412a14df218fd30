package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// PingInterval is how often a client tells the guest that it is there.
const PingInterval = 10 * time.Second

// pingTimeout is how long a guest may be silent, and then owe an answer, before it is given up.
const pingTimeout = 20 * time.Second

// maxFrameSize is the largest HTTP/2 frame either end takes: big ones keep a bulk stream fast.
const maxFrameSize = 256 << 10

// ErrSuperseded is the error of a client whose guest has acknowledged a holder of a later epoch.
var ErrSuperseded = errors.New("another gateway has taken the sandbox over")

// protocols is HTTP/2 without TLS and nothing else.
func protocols() *http.Protocols {
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	return only
}

// A Client is the gateway's end of a channel. It is an [http.RoundTripper] for any number of
// goroutines. Whoever dialled it closes it.
type Client struct {
	stream io.ReadWriteCloser
	conn   *conn
	http   *http.ClientConn

	done    chan struct{}
	endOnce sync.Once
	err     error // written before done is closed
	pinger  sync.WaitGroup
}

// Dial takes the channel on stream for epoch, which must be greater than that of every earlier
// holder, and returns when the guest has acknowledged it. The client owns the stream from then on;
// if Dial fails or ctx ends first, the stream is closed.
func Dial(ctx context.Context, stream io.ReadWriteCloser, epoch uint64) (*Client, error) {
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	client, err := dial(ctx, stream, epoch)
	if !stop() && err == nil {
		err = client.Close()
	}
	if ctxErr := context.Cause(ctx); ctxErr != nil {
		err = errors.Join(ctxErr, err)
	}
	if err != nil {
		_ = stream.Close()
		return nil, fmt.Errorf("take the guest's channel: %w", err)
	}
	return client, nil
}

func dial(ctx context.Context, stream io.ReadWriteCloser, epoch uint64) (*Client, error) {
	link := newLink(stream)
	if err := handshake(link, epoch); err != nil {
		return nil, err
	}
	client := &Client{stream: stream, done: make(chan struct{})}
	client.conn = newConn(link, epoch, nil)
	client.conn.onEnd = client.end
	client.conn.credits.skip = len(preface)
	transport := &http.Transport{
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              protocols(),
		HTTP2: &http.HTTP2Config{
			MaxReadFrameSize:            maxFrameSize,
			StrictMaxConcurrentRequests: true,
			MaxReceiveBufferPerStream:   1 << 20, // what a slow caller costs the gateway
			SendPingTimeout:             pingTimeout,
			PingTimeout:                 pingTimeout,
		},
		DialContext: func(context.Context, string, string) (net.Conn, error) { return client.conn, nil },
	}
	var err error
	if client.http, err = transport.NewClientConn(ctx, "http", "guest:80"); err != nil {
		return nil, err
	}
	client.pinger.Go(client.ping)
	return client, nil
}

// handshake asks for the channel and reads past everything older than the guest's answer. What is
// inside a frame of the user's output cannot forge it: the nonce is not known in the sandbox
// before the guest has read it.
func handshake(link *link, epoch uint64) error {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails
	if err := link.pad(); err != nil {
		return err
	}
	if err := link.write(kindSync, epoch, nonce[:]); err != nil {
		return err
	}
	for {
		got, err := link.next()
		switch {
		case errors.Is(err, errDesync):
		case err != nil:
			return err
		case got.kind == kindAck && got.epoch == epoch && string(got.payload) == string(nonce[:]):
			return nil
		}
	}
}

func (c *Client) ping() {
	ticker := time.NewTicker(PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
			if err := c.conn.link.write(kindPing, c.conn.epoch, nil); err != nil {
				c.end(err)
				return
			}
		}
	}
}

// RoundTrip sends one request to the guest.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.http.RoundTrip(req)
}

// Done is closed when the channel has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil until Done is closed, and then why the channel ended.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

func (c *Client) end(err error) {
	c.endOnce.Do(func() {
		c.err = err
		close(c.done)
	})
}

// Close gives the channel up. The guest goes on until its orphan timeout, for another holder.
func (c *Client) Close() error {
	c.end(errors.New("channel closed"))
	_ = c.conn.Close()
	err := c.stream.Close()
	_ = c.http.Close()
	c.pinger.Wait()
	return err
}
