package gateway

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// begun begins code that never ends, over a connection of its own, and returns when it runs.
func (g *piped) begun(t *testing.T, path, kind, message string) *raw {
	t.Helper()
	r := g.http2(t, false)
	body := []byte(message)
	if strings.Contains(kind, "connect+") || strings.Contains(kind, "grpc") {
		body = envelope(0, body)
	}
	block := r.only(":method", "POST", ":scheme", "http", ":authority", "localhost", ":path", path, "content-type", kind)
	if err := r.WriteHeaders(headersOf(1, block)); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteData(1, true, body); err != nil {
		t.Fatal(err)
	}
	<-g.runs
	return r
}

// TestClientsThatVanish: whichever way a client goes, the work of its call ends, unary or stream.
func TestClientsThatVanish(t *testing.T) {
	ways := map[string]func(*raw) error{
		"closes":           func(r *raw) error { return r.Close() },
		"resets":           func(r *raw) error { return r.WriteRSTStream(1, http2.ErrCodeCancel) },
		"breaks the rules": func(r *raw) error { return r.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")) },
		"sends trailers after its end": func(r *raw) error {
			return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.only("x", "y"), EndHeaders: true, EndStream: true})
		},
	}
	for way, leave := range ways {
		for kind, path := range map[string]string{
			"application/json": sandgatev1connect.ToolServiceCallToolProcedure, "application/connect+json": sandgatev1connect.PythonServiceRunProcedure,
			"application/grpc+json": sandgatev1connect.PythonServiceRunProcedure,
		} {
			t.Run(way+" "+kind, func(t *testing.T) {
				overPipes(t, nil, func(g *piped) {
					t := g.t
					message := `{"sessionId":"` + g.session(t) + `","code":"wait"}`
					if kind == "application/json" {
						message = strings.Replace(message, `"code":"wait"`, `"name":"python_run","arguments":{"code":"wait"}`, 1)
					}
					r := g.begun(t, path, kind, message)
					if err := leave(r); err != nil {
						t.Fatal(err)
					}
					<-time.After(time.Second + time.Millisecond) // a connection that is told off has a second
					synctest.Wait()
					if n := g.server.admission.calls(); n != 0 {
						t.Errorf("%d calls still run", n)
					}
					g.serves(t)
				})
			})
		}
	}
	t.Run("says nothing more", func(t *testing.T) {
		overPipes(t, nil, func(g *piped) {
			t := g.t
			id := g.session(t)
			conn := g.dial(t)
			go func() { // who reads nothing answers no ping
				_, _ = io.WriteString(conn, http2.ClientPreface)
				framer := http2.NewFramer(conn, nil)
				_ = framer.WriteSettings()
				r := &raw{}
				r.table = newTable(r)
				_ = framer.WriteHeaders(headersOf(1, r.only(":method", "POST", ":scheme", "http", ":authority", "localhost",
					":path", sandgatev1connect.PythonServiceRunProcedure, "content-type", "application/connect+json")))
				_ = framer.WriteData(1, true, envelope(0, []byte(`{"sessionId":"`+id+`","code":"wait"}`)))
			}()
			<-g.runs
			<-time.After(2 * writeTimeout)
			synctest.Wait()
			if n := g.server.admission.calls(); n != 0 {
				t.Errorf("%d calls still run", n)
			}
		})
	})
}

// TestHTTP1ClientsThatVanish does it over TCP, with a reset and with an end.
func TestHTTP1ClientsThatVanish(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	g.serves(t)
	before := runtime.NumGoroutine()
	for _, linger := range []int{0, -1} { // RST, FIN
		for range 20 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			message := envelope(0, []byte(`{"sessionId":"`+id+`","code":"wait"}`))
			_, err = io.WriteString(conn, "POST "+sandgatev1connect.PythonServiceRunProcedure+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+json\r\n"+
				"Transfer-Encoding: chunked\r\n\r\n"+chunk(message)+"0\r\n\r\n")
			if err != nil {
				t.Fatal(err)
			}
			<-g.runs
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(linger)
			}
			_ = conn.Close()
		}
	}
	for deadline := time.Now().Add(20 * time.Second); g.server.admission.calls() > 0 || runtime.NumGoroutine() > before+3; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls, %d goroutines of %d", g.server.admission.calls(), runtime.NumGoroutine(), before)
		}
	}
	g.serves(t)
}
