package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// stdoutStream is how the engine names stdout in a frame's header.
const stdoutStream = 1

// attached is a container's stdin and stdout as one connection, which the engine carries over its own
// socket. Docker cuts stdout into frames of an 8-byte header and a body. One goroutine may read while
// others write.
type attached struct {
	net.Conn
	in     *bufio.Reader
	header [8]byte
	rest   uint32 // of the present frame
}

// attach asks the engine at a unix socket for a container's streams. ctx bounds the asking only.
func attach(ctx context.Context, socket, id string) (_ *attached, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("reach the engine: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends a hanging handshake
	defer func() {
		if !stop() {
			err = errors.Join(err, context.Cause(ctx))
		}
		if err != nil {
			err = errors.Join(fmt.Errorf("attach to %s: %w", id, err), ignoreClosed(conn.Close()))
		}
	}()
	_, err = fmt.Fprintf(conn, "POST /containers/%s/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\n"+
		"Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n", url.PathEscape(id))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 32<<10)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // empty: what follows the head is the stream
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("the engine answered %s", response.Status)
	}
	return &attached{Conn: conn, in: in}, nil
}

// Read returns bytes of the container's stdout.
func (a *attached) Read(p []byte) (int, error) {
	for a.rest == 0 && len(p) > 0 {
		if _, err := io.ReadFull(a.in, a.header[:]); err != nil {
			return 0, err
		}
		if a.header[0] != stdoutStream {
			return 0, fmt.Errorf("the engine sent a frame of stream %d, which was not asked for", a.header[0])
		}
		a.rest = binary.BigEndian.Uint32(a.header[4:])
	}
	if uint64(len(p)) > uint64(a.rest) {
		p = p[:a.rest]
	}
	n, err := a.in.Read(p)
	a.rest -= uint32(n)
	return n, err
}

// ignoreClosed drops the error of closing something twice.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
