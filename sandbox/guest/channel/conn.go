package channel

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one holder's span of a link, as the net.Conn that HTTP/2 runs on. It pulls frames in
// Read, so that no goroutine stands between the stream and its reader.
type conn struct {
	link  *link
	epoch uint64
	alive *heartbeat  // told of every frame of this epoch; may be nil
	onEnd func(error) // called once, when nothing more can be read

	readMu sync.Mutex
	rest   []byte  // unread payload, valid until the next frame is read; guarded by readMu
	sync   *holder // who took over; guarded by readMu
	err    error   // why nothing more can be read; guarded by readMu

	writeMu sync.Mutex
	credits credits // guarded by writeMu

	closed   atomic.Bool
	over     chan struct{} // closed when nothing more can be read, or Close was called
	overOnce sync.Once
}

func newConn(link *link, epoch uint64, alive *heartbeat) *conn {
	return &conn{link: link, epoch: epoch, alive: alive, over: make(chan struct{})}
}

func (c *conn) end() { c.overOnce.Do(func() { close(c.over) }) }

// holder is who asked for the channel in a sync frame.
type holder struct {
	epoch uint64
	nonce [nonceSize]byte
}

// Read returns bytes of the holder's connection, and io.EOF once another holder has taken over.
func (c *conn) Read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	for len(c.rest) == 0 {
		if err := c.pull(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// pull reads one frame. The caller holds readMu.
func (c *conn) pull() error {
	if c.err != nil {
		return c.err
	}
	got, err := c.link.next()
	if err == nil {
		err = c.accept(got)
	}
	if err != nil {
		c.err = err
		c.end()
		if c.onEnd != nil {
			c.onEnd(err)
		}
	}
	return err
}

// accept takes one frame. The caller holds readMu.
func (c *conn) accept(got frame) error {
	if got.kind == kindSync && got.epoch > c.epoch && len(got.payload) == nonceSize {
		c.sync = &holder{epoch: got.epoch, nonce: [nonceSize]byte(got.payload)}
		return io.EOF
	}
	if got.kind == kindAck && got.epoch > c.epoch {
		return ErrSuperseded
	}
	if got.epoch != c.epoch {
		return nil
	}
	if c.alive != nil {
		c.alive.beat()
	}
	if got.kind == kindData && !c.closed.Load() {
		c.rest = got.payload
	}
	return nil
}

// successor reads on until another holder asks for the channel, dropping everything else. It
// returns nil when the framing was lost first, and an error when the stream ended.
func (c *conn) successor() (*holder, error) {
	c.closed.Store(true)
	c.readMu.Lock()
	defer c.readMu.Unlock()
	for c.err == nil {
		c.rest = nil
		_ = c.pull() // kept in c.err
	}
	if c.sync != nil || c.err == errDesync { //nolint:errorlint // set by this package, never wrapped
		return c.sync, nil
	}
	return nil, c.err
}

// Write sends bytes of the holder's connection, but for window updates that can wait.
func (c *conn) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if err := c.credits.pass(p, c.send); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send writes bytes down in frames.
func (c *conn) send(p []byte) error {
	for len(p) > 0 {
		if c.closed.Load() {
			return net.ErrClosed
		}
		piece := p[:min(len(p), maxPayload)]
		if err := c.link.write(kindData, c.epoch, piece); err != nil {
			return err
		}
		p = p[len(piece):]
	}
	return nil
}

// Close ends the span. The stream below stays open.
func (c *conn) Close() error {
	c.closed.Store(true)
	c.end()
	if c.onEnd != nil {
		c.onEnd(net.ErrClosed)
	}
	return nil
}

// The rest of net.Conn. HTTP/2 works without deadlines here: each call has its own.

func (c *conn) LocalAddr() net.Addr              { return address{} }
func (c *conn) RemoteAddr() net.Addr             { return address{} }
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// address is that of either end of a channel.
type address struct{}

func (address) Network() string { return "sandgate" }
func (address) String() string  { return "guest" }
