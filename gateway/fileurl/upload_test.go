package fileurl_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandgate/sandgate/gateway/identity"
)

func TestUpload(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	address := g.address(t, key, session, "new/data.bin", true)
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer h2c.CloseIdleConnections()
	for name, way := range map[string]struct {
		client *http.Client
		url    string
	}{
		"HTTP/1.1":    {&http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 20 * time.Second}}, g.url},
		"HTTP/2":      {&http.Client{Transport: h2c}, g.url},
		"HTTP/2, TLS": {g.tls.Client(), g.tls.URL},
	} {
		t.Run(name, func(t *testing.T) {
			for what, content := range map[string]string{
				"nothing": "", "a little": "hello", "a piece": strings.Repeat("p", 64<<10), "more than a message may have": strings.Repeat("0123456789", 2<<20),
			} {
				for how, body := range map[string]io.Reader{"of known length": strings.NewReader(content), "chunked": io.MultiReader(strings.NewReader(content))} {
					for _, kind := range []string{"text/html", "application/grpc", "application/x-www-form-urlencoded"} {
						got := fetch(t, way.client, http.MethodPut, way.url+address, body, "Content-Type", kind, "Expect", "100-continue")
						if got.status != http.StatusCreated || got.body != "" {
							t.Fatalf("%s, %s: %+v", what, how, got)
						}
						safe(t, what, got.header)
						if err := <-g.ended; err != nil {
							t.Errorf("%s, %s: %v", what, how, err)
						}
						if kept, ok := g.get(session, "new/data.bin"); !ok || kept != content {
							t.Fatalf("%s, %s: %d bytes of %d are kept", what, how, len(kept), len(content))
						}
						body = strings.NewReader(content)
					}
				}
			}
		})
	}
	if strings.Contains(g.log.String(), `"level":"ERROR"`) {
		t.Error(g.log)
	}
}

// TestUploadsThatAreRefused wants each to be told why, and to leave no file.
func TestUploadsThatAreRefused(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	address := g.address(t, key, session, "f", true)
	for _, c := range []struct {
		name, value string
		status      int
		reason      string
	}{
		{"Content-Encoding", "gzip", http.StatusUnsupportedMediaType, "FILE_URL_ENCODING"},
		{"Content-Range", "bytes 0-1/5", http.StatusBadRequest, "FILE_URL_PART"},
		{"If-None-Match", "*", http.StatusPreconditionFailed, "FILE_URL_CONDITION"},
		{"If-Match", `"x"`, http.StatusPreconditionFailed, "FILE_URL_CONDITION"},
	} {
		got := g.fetch(t, http.MethodPut, address, strings.NewReader("hello"), c.name, c.value)
		if !got.says(c.status, c.reason) {
			t.Errorf("%s: %+v", c.name, got)
		}
		safe(t, c.name, got.header)
	}
	if _, ok := g.get(session, "f"); ok {
		t.Error("a file was made")
	}
	full := g.address(t, key, session, "full", true)
	got := g.fetch(t, http.MethodPut, full, strings.NewReader(strings.Repeat("x", 2<<20)), "Expect", "100-continue")
	if !got.says(http.StatusTooManyRequests, "NO_SPACE") {
		t.Errorf("a full workspace: %+v", got)
	}
	if err := <-g.ended; err == nil {
		t.Error("the upload ended well")
	}
	if got := g.fetch(t, http.MethodPut, address, strings.NewReader("hello"), "Content-Encoding", "identity"); got.status != http.StatusCreated {
		t.Errorf("identity: %+v", got)
	}
	g.uploaded(t)
}

// TestUploadThatBreaksOff ends uploads half way, in every way there is: no file appears.
func TestUploadThatBreaksOff(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	for _, body := range []string{
		"Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 200_000),
		"Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 64<<10), // a whole piece
		"Content-Length: 1000000\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 0x20000) + "\r\n",
		"Transfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 0x10000),
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n",
	} {
		for range 20 { // the ends race
			conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: localhost\r\n%s", g.address(t, key, session, "f", true), body); err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-g.ended; err == nil {
				t.Fatal("the upload ended well")
			}
			if kept, ok := g.get(session, "f"); ok {
				t.Fatalf("%d bytes are kept", len(kept))
			}
		}
	}
}

// TestExpectContinue wants the body to be asked for only where it is wanted.
func TestExpectContinue(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	for address, want := range map[string]string{
		g.address(t, key, session, "f", true): "HTTP/1.1 100 Continue", "/files/garbage": "HTTP/1.1 404 Not Found",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", address); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(conn)
		if line, err := lines.ReadString('\n'); strings.TrimSpace(line) != want {
			t.Errorf("%q, %v", line, err)
		}
		if strings.Contains(want, "100") {
			_, _ = io.WriteString(conn, "hello")
			if err := <-g.ended; err != nil {
				t.Error(err)
			}
		}
		_ = conn.Close()
	}
}

// heap samples the heap and returns the largest that it was, beyond what it was at first.
func heap(t *testing.T, do func()) int64 {
	t.Helper()
	read := func() int64 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	runtime.GC()
	base := read()
	var most atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				most.Store(max(most.Load(), read()-base))
			}
		}
	}()
	do()
	close(stop)
	<-stopped
	return most.Load()
}

// TestMemoryIsFlat moves 1 GiB either way.
func TestMemoryIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 2 GiB")
	}
	const most = 32 << 20
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	used := heap(t, func() {
		res, err := client.Get(g.url + g.address(t, key, session, "zeros", false))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		if err != nil || n != zeros {
			t.Errorf("%d bytes, %v", n, err)
		}
		_ = res.Body.Close()
	})
	if used > most {
		t.Errorf("a download took %d MiB", used>>20)
	}
	t.Logf("download: %d MiB", used>>20)
	used = heap(t, func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, g.url+g.address(t, key, session, "zeros", true), io.LimitReader(nothing{}, zeros))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = zeros
		res, err := client.Do(req)
		if err != nil || res.StatusCode != http.StatusCreated {
			t.Fatal(res, err)
		}
		_ = res.Body.Close()
		if err := <-g.ended; err != nil {
			t.Error(err)
		}
	})
	if used > most {
		t.Errorf("an upload took %d MiB", used>>20)
	}
	t.Logf("upload: %d MiB", used>>20)
}

// nothing is zeros without end.
type nothing struct{}

func (nothing) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}
