package gateway

import (
	"bufio"
	"net"
	"time"

	"github.com/sandgate/sandgate/sandbox/gather"
)

// gatherClose is how long what is still to be written has when a connection is closed.
const gatherClose = time.Second

// gatherListener's connections read through a buffer and gather their writes.
type gatherListener struct{ net.Listener }

// Accept waits for a connection.
func (l gatherListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatherConn{Conn: conn, in: bufio.NewReader(conn), out: gather.New(deadlineWriter{conn})}, nil
}

// gatherConn bounds every write to the connection below: a client that takes nothing is cut off.
type gatherConn struct {
	net.Conn
	in  *bufio.Reader
	out *gather.Writer
}

func (c *gatherConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *gatherConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close closes the connection once what is queued has been written, which it does not wait for: a
// server that ends closes its connections one after another.
func (c *gatherConn) Close() error {
	if c.out.Idle() {
		return c.Conn.Close()
	}
	go func() {
		_ = c.SetDeadline(time.Now().Add(gatherClose))
		_ = c.out.Flush()
		_ = c.Conn.Close()
	}()
	return nil
}

// CloseWrite closes the writing half, as HTTP/1 asks for before it closes.
func (c *gatherConn) CloseWrite() error {
	_ = c.SetWriteDeadline(time.Now().Add(gatherClose))
	if err := c.out.Flush(); err != nil {
		return err
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// deadlineWriter gives each write to a connection a time of its own.
type deadlineWriter struct{ net.Conn }

func (w deadlineWriter) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}
