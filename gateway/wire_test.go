package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

func alone() bool { return false }

// pipes is a listener whose connections are pipes. A server that serves it inside a bubble of synctest
// has the bubble's clock, so that its real timeouts are waited for in no time; and that every goroutine
// has ended when the bubble ends is a part of every test.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for a connection.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses connections from now on.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr says that it is local.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accept <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// piped is a gateway behind pipes.
type piped struct {
	*rig

	t     *testing.T // the bubble's
	pipes *pipes
}

// overPipes runs a test with a gateway behind pipes, in a bubble.
func overPipes(t *testing.T, change func(*Options), test func(*piped)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &piped{&rig{sessions: newHouse(t, nil), log: &logBuffer{}, runs: make(chan struct{}, 1000), url: "http://localhost"}, t, newPipes()}
		g.serve(t, g.pipes, g.pipes.dial, change)
		test(g)
	})
}

// dial opens a connection that is closed with the test.
func (g *piped) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := g.pipes.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// serves fails the test unless another client is served.
func (g *rig) serves(t *testing.T) {
	t.Helper()
	if _, err := g.tools().ListTools(t.Context(), &sandgatev1.ListToolsRequest{}); err != nil {
		t.Errorf("another client is not served: %v", err)
	}
}

// raw is the client's end of an HTTP/2 connection that obeys no rule but the test's.
type raw struct {
	net.Conn
	*http2.Framer

	block  []byte
	table  *hpack.Encoder
	closed chan struct{} // when nothing more can be read

	mu      sync.Mutex
	goAway  *http2.ErrCode           // guarded by mu
	resets  map[uint32]http2.ErrCode // guarded by mu
	headers map[uint32]string        // the status, or what came in its place; guarded by mu
}

// http2 opens an HTTP/2 connection. Where silent, what the server says is read by nobody; else pings are
// answered, and nothing else.
func (g *piped) http2(t *testing.T, silent bool) *raw {
	t.Helper()
	r := &raw{Conn: g.dial(t), closed: make(chan struct{}), resets: map[uint32]http2.ErrCode{}, headers: map[uint32]string{}}
	r.Framer = http2.NewFramer(r.Conn, r.Conn)
	r.table = newTable(r)
	if !silent {
		go r.read()
	}
	if _, err := io.WriteString(r.Conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return r
}

// Write takes what the encoder writes of a header block.
func (r *raw) Write(p []byte) (int, error) {
	r.block = append(r.block, p...)
	return len(p), nil
}

func (r *raw) read() {
	defer close(r.closed)
	decoder := hpack.NewDecoder(4096, nil)
	framer := http2.NewFramer(r.Conn, bufio.NewReader(r.Conn))
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if ping, ok := frame.(*http2.PingFrame); ok && !ping.IsAck() {
			_ = framer.WritePing(true, ping.Data) // it lives
		}
		r.mu.Lock()
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			r.goAway = &f.ErrCode
		case *http2.RSTStreamFrame:
			r.resets[f.StreamID] = f.ErrCode
		case *http2.HeadersFrame:
			fields, _ := decoder.DecodeFull(f.HeaderBlockFragment())
			for _, field := range fields {
				if field.Name == ":status" || field.Name == "grpc-status" {
					r.headers[f.StreamID] += field.Value + " "
				}
			}
		}
		r.mu.Unlock()
	}
}

// fields encodes a header block of a call, with fields more.
func (r *raw) fields(path string, more ...string) []byte {
	return r.only(append([]string{":method", http.MethodPost, ":scheme", "http", ":authority", "localhost", ":path", path, "content-type", "application/proto"}, more...)...)
}

// open begins a call of a stream.
func (r *raw) open(stream uint32, end bool, more ...string) error {
	return r.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: r.fields(sandgatev1connect.ToolServiceListToolsProcedure, more...), EndHeaders: true, EndStream: end,
	})
}

// envelope is one message of a stream as Connect and gRPC write it.
func envelope(flags byte, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message))), message...)
}

// headersOf begins a call whose body is to come.
func headersOf(stream uint32, block []byte) http2.HeadersFrameParam {
	return http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true}
}

// readerOf hides the length of a body, so that it comes as it is.
func readerOf(body []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(body)} }

// codeOf finds the code of a reply, wherever its protocol puts it. Zero: it went well.
func codeOf(res *http.Response, body string) connect.Code {
	for _, header := range []http.Header{res.Header, res.Trailer} {
		if text := header.Get("Grpc-Status"); text != "" {
			number, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return connect.CodeUnknown
			}
			return connect.Code(number)
		}
	}
	if _, text, found := strings.Cut(strings.ToLower(body), "grpc-status: "); found { // gRPC-Web's trailers
		number, err := strconv.ParseUint(text[:strings.IndexAny(text, "\r\n")], 10, 32)
		if err != nil {
			return connect.CodeUnknown
		}
		return connect.Code(number)
	}
	var code connect.Code
	if _, text, found := strings.Cut(body, `"code":"`); found {
		name, _, _ := strings.Cut(text, `"`)
		if code.UnmarshalText([]byte(name)) != nil {
			return connect.CodeUnknown
		}
	}
	return code
}

func newTable(r *raw) *hpack.Encoder { return hpack.NewEncoder(r) }

// only encodes a header block of just these fields.
func (r *raw) only(fields ...string) []byte {
	r.block = nil
	for i := 0; i < len(fields); i += 2 {
		_ = r.table.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return r.block
}
