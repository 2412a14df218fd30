package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// What clients do wrong is neither called nor counted as a failure of the gateway.
func TestBrokenRequests(t *testing.T) {
	enveloped := binary.BigEndian.AppendUint32([]byte{0}, 100) // promises 100 bytes
	for name, test := range map[string]struct {
		procedure, content, body string
		length                   int // as announced; 0: as it is
		code                     string
	}{
		"cut off":              {sandgatev1connect.FileServiceReadProcedure, "application/json", `{"session_id":`, 500, "canceled"},
		"bad chunk":            {sandgatev1connect.FileServiceReadProcedure, "application/json", "zz\r\n", -1, "invalid_argument"},
		"no JSON":              {sandgatev1connect.FileServiceReadProcedure, "application/json", `{]`, 0, "invalid_argument"},
		"half an envelope":     {sandgatev1connect.PythonServiceRunProcedure, "application/connect+proto", "\x00\x00", 0, "invalid_argument"},
		"half a message":       {sandgatev1connect.PythonServiceRunProcedure, "application/connect+proto", string(enveloped) + "x", 0, "invalid_argument"},
		"unknown flags":        {sandgatev1connect.PythonServiceRunProcedure, "application/connect+proto", "\x7f\x00\x00\x00\x00", 0, "invalid_argument"},
		"half of an upload":    {sandgatev1connect.FileServiceUploadProcedure, "application/connect+proto", string(enveloped) + "x", 0, "invalid_argument"},
		"an upload is cut off": {sandgatev1connect.FileServiceUploadProcedure, "application/connect+proto", string(enveloped) + "x", 500, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			framing := fmt.Sprintf("Content-Length: %d", max(test.length, len(test.body)))
			if test.length < 0 {
				framing = "Transfer-Encoding: chunked"
			}
			conn := dial(t, g)
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %s\r\nConnect-Protocol-Version: 1\r\n%s\r\n\r\n%s",
				test.procedure, test.content, framing, test.body)
			if err != nil {
				t.Fatal(err)
			}
			if half, ok := conn.(*net.TCPConn); ok && test.length > 0 { // more does not come
				if err := half.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			_, _ = io.ReadAll(conn) // until the server has done with it
			line := g.waitForLog(t, `"msg":"call"`)
			if !strings.Contains(line, `"code":"`+test.code+`"`) || strings.Contains(line, `"level":"ERROR"`) {
				t.Errorf("logged as %s, want %s", line, test.code)
			}
		})
	}
}

// Thousands of calls that are begun and reset in a moment leave a few lines and a count.
func TestRapidResets(t *testing.T) {
	g := newRig(t, nil)
	client := newFramer(t, g)
	const resets = 3000
	for i := range resets {
		stream := uint32(2*i + 1)
		client.open(t, stream, sandgatev1connect.FileServiceReadProcedure)
		if err := client.WriteRSTStream(stream, http2.ErrCodeCancel); err != nil {
			break // the server may hang up on such a client
		}
	}
	_ = client.conn.Close()
	g.waitForLog(t, "were not logged")
	for calls := -1; calls != 0; {
		calls = g.server.admission.calls()
	}
	text := g.log.String()
	if lines := strings.Count(text, `"msg":"call"`); lines > resets/10 {
		t.Errorf("%d lines for %d resets", lines, resets)
	}
	if strings.Contains(text, `"level":"ERROR"`) {
		t.Errorf("resets are called failures: %.500s", text)
	}
}

// A client that vanished without a word is noticed by its silence, and its call ends.
func TestVanishedClient(t *testing.T) {
	g := newRig(t, func(o *Options) { o.pingAfter, o.pingTimeout = 50*time.Millisecond, 50*time.Millisecond })
	client := newFramer(t, g)
	client.open(t, 1, sandgatev1connect.PythonServiceRunProcedure)
	client.run(t, g.session(t), "wait")
	<-g.runs // the call is under way; from here on nobody reads what the server sends, nor answers its pings
	line := g.waitForLog(t, sandgatev1connect.PythonServiceRunProcedure)
	if !strings.Contains(line, `"code":"canceled"`) {
		t.Errorf("ended as %s", line)
	}
}

// Clients that do not read hold what they are sent, all of them together up to a bound.
func TestClientsThatDoNotRead(t *testing.T) {
	g := newRig(t, nil)
	g.server.replies.most = 1 << 20
	id := g.session(t)
	for range 3 {
		client := newFramer(t, g)
		client.open(t, 1, sandgatev1connect.PythonServiceRunProcedure)
		client.run(t, id, strings.Repeat("x", 600<<10))
	}
	line := g.waitForLog(t, sandgatev1connect.PythonServiceRunProcedure)
	if !strings.Contains(line, `"code":"resource_exhausted"`) {
		t.Errorf("ended as %s", line)
	}
	if held := g.server.replies.used.Load(); held > 1<<20 {
		t.Errorf("%d bytes are held", held)
	}
}

func dial(t *testing.T, g *rig) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// waitForLog returns the first line of the log with a text, once there is one.
func (g *rig) waitForLog(t *testing.T, text string) string {
	t.Helper()
	for ctx, cancel := context.WithTimeout(t.Context(), time.Minute); ; {
		for line := range strings.Lines(g.log.String()) {
			if strings.Contains(line, text) {
				cancel()
				return line
			}
		}
		if ctx.Err() != nil {
			cancel()
			t.Fatalf("the log never had %q: %.2000s", text, g.log.String())
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // nobody tells of log lines
	}
}

// framer is an HTTP/2 client that does as it is told and reads nothing.
type framer struct {
	*http2.Framer

	conn    net.Conn
	headers bytes.Buffer
	encoder *hpack.Encoder
}

func newFramer(t *testing.T, g *rig) *framer {
	t.Helper()
	f := &framer{conn: dial(t, g)}
	if _, err := io.WriteString(f.conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f.Framer = http2.NewFramer(f.conn, f.conn)
	f.encoder = hpack.NewEncoder(&f.headers)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// open begins a call whose body is still to come.
func (f *framer) open(t *testing.T, stream uint32, procedure string) {
	t.Helper()
	f.headers.Reset()
	content := "application/proto"
	if procedure == sandgatev1connect.PythonServiceRunProcedure {
		content = "application/connect+proto"
	}
	for _, field := range [][2]string{
		{":method", http.MethodPost},
		{":scheme", "http"},
		{":authority", "localhost"},
		{":path", procedure},
		{"content-type", content},
		{"connect-protocol-version", "1"},
	} {
		if err := f.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.headers.Bytes(), EndHeaders: true})
}

// run sends the one message of a call to python_run that was opened on stream 1. It must not be longer than what
// the server takes without having been asked: 1 MiB.
func (f *framer) run(t *testing.T, session, code string) {
	t.Helper()
	message, err := proto.Marshal(&sandgatev1.RunRequest{SessionId: session, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	envelope := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	for len(envelope) > 0 {
		piece := envelope[:min(len(envelope), 16<<10)]
		envelope = envelope[len(piece):]
		if err := f.WriteData(1, len(envelope) == 0, piece); err != nil {
			t.Fatal(err)
		}
	}
}
