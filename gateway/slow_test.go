package gateway

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// TestSlowClients has clients send, or take, next to nothing for as long as they are let. Each is cut
// off by the bound that the table names, and none keeps a place.
func TestSlowClients(t *testing.T) {
	const post = "POST /sandgate.v1.ToolService/ListTools HTTP/1.1\r\nHost: localhost\r\n"
	const run = "POST /sandgate.v1.PythonService/Run HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+json\r\n"
	for name, test := range map[string]struct {
		begin string
		every time.Duration // another byte is sent; zero: none is
		bound time.Duration
	}{
		"nothing":                      {"", 0, readHeaderTimeout},
		"a byte of header":             {"P", time.Second, readHeaderTimeout},
		"headers without end":          {post + "X-Slow: ", time.Second, readHeaderTimeout},
		"half of HTTP/2":               {http2.ClientPreface[:10], 0, readHeaderTimeout},
		"HTTP/2 and silence":           {http2.ClientPreface, 0, idleTimeout},
		"a body without a byte":        {post + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n", 0, bodyIdle},
		"a body byte by byte":          {post + "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n", time.Second, bodyTotal},
		"chunks without end":           {post + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5", 0, bodyIdle},
		"a body that nobody wants":     {"POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", time.Second, bodyIdle},
		"a body of a page":             {"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", 0, bodyIdle},
		"a body behind a refusal":      {post + "Content-Type: application/json\r\nContent-Encoding: br\r\nContent-Length: 100000\r\n\r\n", time.Second, bodyIdle},
		"a body behind a short stream": {run + "Transfer-Encoding: chunked\r\n\r\n" + chunk(envelope(0, []byte("{}"))), 0, bodyTotal},

		"kept alive": {"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 0, idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			overPipes(t, nil, func(g *piped) {
				t := g.t
				conn := g.dial(t)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _ = io.Copy(io.Discard, conn)
				}()
				start := time.Now()
				if _, err := io.WriteString(conn, test.begin); err != nil {
					t.Fatal(err)
				}
				var sender sync.WaitGroup
				defer sender.Wait()
				if test.every > 0 {
					sender.Go(func() {
						for {
							<-time.After(test.every)
							if _, err := io.WriteString(conn, " "); err != nil {
								return
							}
						}
					})
				}
				g.serves(t)
				<-ended
				if took := time.Since(start); took > test.bound+5*time.Second {
					t.Errorf("it was cut off after %s", took)
				}
				_ = conn.Close()
				synctest.Wait()
				if n := g.server.admission.unsettled(); n != 0 {
					t.Errorf("%d calls are left", n)
				}
			})
		})
	}
}

// TestReadersThatStop has clients begin a stream without end and take nothing of it. Over HTTP/2 they
// stay alive and polite: they only never give the stream more room.
func TestReadersThatStop(t *testing.T) {
	t.Run("http/1.1", func(t *testing.T) {
		overPipes(t, nil, func(g *piped) {
			t := g.t
			message := `{"sessionId":"` + g.session(t) + `","code":"flood"}`
			conn := g.dial(t)
			_, err := io.WriteString(conn, "POST "+sandgatev1connect.PythonServiceRunProcedure+" HTTP/1.1\r\nHost: localhost\r\n"+
				"Content-Type: application/connect+json\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk(envelope(0, []byte(message)))+"0\r\n\r\n")
			if err != nil {
				t.Fatal(err)
			}
			<-g.runs
			g.serves(t)
			<-time.After(2 * writeTimeout)
			synctest.Wait()
			if n := g.server.admission.calls(); n != 0 {
				t.Errorf("%d calls still write", n)
			}
		})
	})
	t.Run("http/2", func(t *testing.T) {
		overPipes(t, nil, func(g *piped) {
			t := g.t
			id := g.session(t)
			python := sandgatev1connect.NewPythonServiceClient(g.client, g.url)
			stream, err := python.Run(t.Context(), &sandgatev1.RunRequest{SessionId: id, Code: "flood"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stream.Close() }()
			<-g.runs
			g.serves(t)
			<-time.After(2 * writeTimeout) // the client answers pings meanwhile
			synctest.Wait()
			if n := g.server.admission.calls(); n != 0 {
				t.Errorf("%d calls still write", n)
			}
			for stream.Receive() {
			}
			if err := stream.Err(); err == nil || connect.CodeOf(err) == connect.CodeUnknown {
				t.Errorf("the stream ended in %v", err)
			}
		})
	})
}

// TestRepliesThatNobodyTakes leaves replies of calls that are over lying for ever.
func TestRepliesThatNobodyTakes(t *testing.T) {
	overPipes(t, nil, func(g *piped) {
		t := g.t
		r := g.http2(t, false)
		if err := r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.open(1, false), r.WriteData(1, true, nil)); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * writeTimeout) // it answers pings meanwhile
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, reset := r.resets[1]; !reset && r.goAway == nil {
			t.Errorf("the stream is still there: %q", r.headers[1])
		}
	})
}

// TestSilentConnections fills the gateway with connections that say nothing.
func TestSilentConnections(t *testing.T) {
	overPipes(t, nil, func(g *piped) {
		t := g.t
		for range maxConnections {
			g.dial(t)
		}
		g.serves(t) // as soon as the first of them are cut off
	})
}

// TestHalfClosedStreams has calls whose client says that it will say more, and does not.
func TestHalfClosedStreams(t *testing.T) {
	overPipes(t, nil, func(g *piped) {
		t := g.t
		upload := sandgatev1connect.NewFileServiceClient(g.client, g.url)
		stream, err := upload.Upload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(nil) // headers only
		r := g.http2(t, false)
		for i := range uint32(10) {
			if err := r.open(2*i+1, false); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := g.server.admission.calls(); n != 11 {
			t.Errorf("%d calls wait for their bodies", n)
		}
		g.serves(t)
		<-time.After(bodyTotal)
		synctest.Wait()
		if n := g.server.admission.calls(); n != 0 {
			t.Errorf("%d calls still wait", n)
		}
	})
}

// chunk is one piece of a body in HTTP/1.1's own framing.
func chunk(data []byte) string {
	const digits = "0123456789abcdef"
	var size strings.Builder
	for shift := 28; shift >= 0; shift -= 4 {
		size.WriteByte(digits[len(data)>>shift&15])
	}
	return size.String() + "\r\n" + string(data) + "\r\n"
}

// exchange sends a request as it is and returns the reply's status, 0 where the connection was closed.
func exchange(conn io.ReadWriteCloser, request string) int {
	go func() { _, _ = io.WriteString(conn, request) }()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}
