package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

func writePair(t *testing.T, pair tls.Certificate) (cert, key string) {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestHostAndOrigin(t *testing.T) {
	g := newRig(t, func(o *Options) {
		o.AllowedHosts, o.AllowedOrigins = []string{"Gate.example"}, []string{"https://console.example"}
	})
	for name, test := range map[string]struct {
		header http.Header
		in     bool
	}{
		"as dialled":          {http.Header{}, true},
		"localhost":           {http.Header{"Host": {"localhost:1"}}, true},
		"upper case":          {http.Header{"Host": {"LOCALHOST"}}, true},
		"IPv6":                {http.Header{"Host": {"[::1]:80"}}, true},
		"mapped":              {http.Header{"Host": {"[::ffff:127.0.0.1]"}}, true},
		"allowed name":        {http.Header{"Host": {"gate.example:7777"}}, true},
		"rebound name":        {http.Header{"Host": {"evil.example"}}, false},
		"localhost in a name": {http.Header{"Host": {"localhost.evil.example"}}, false},
		"loopback in a name":  {http.Header{"Host": {"127.0.0.1.evil.example"}}, false},
		"other address":       {http.Header{"Host": {"192.0.2.1"}}, false},
		"decimal address":     {http.Header{"Host": {"2130706433"}}, false},
		"zone":                {http.Header{"Host": {"[::1%25lo]"}}, false},
		"any page":            {http.Header{"Origin": {"http://localhost"}}, false},
		"null origin":         {http.Header{"Origin": {"null"}}, false},
		"empty origin":        {http.Header{"Origin": {""}}, false},
		"allowed page":        {http.Header{"Origin": {"https://console.example"}}, true},
		"two origins":         {http.Header{"Origin": {"https://console.example", "https://evil.example"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/livez", "/metrics", sandgatev1connect.ToolServiceListToolsProcedure + "?encoding=json&message=%7B%7D&connect=v1"} {
				status, body := g.fetch(t, http.MethodGet, path, test.header)
				if in := status == http.StatusOK; in != test.in {
					t.Errorf("GET %s: %d %s", path, status, body)
				}
				if !test.in && status != http.StatusForbidden {
					t.Errorf("GET %s: %d", path, status)
				}
			}
		})
	}
	for name, options := range wires() {
		t.Run("refused over "+name, func(t *testing.T) {
			ctx, info := connect.NewClientContext(t.Context())
			info.RequestHeader().Set("Origin", "https://evil.example")
			_, err := g.tools(options...).ListTools(ctx, &sandgatev1.ListToolsRequest{})
			wantError(t, err, connect.CodePermissionDenied, ReasonOriginRefused)
		})
	}
}

func TestGetOnlyWithoutSideEffects(t *testing.T) {
	g := newRig(t, nil)
	const query = "?encoding=json&message=%7B%7D&connect=v1"
	if status, body := g.fetch(t, http.MethodGet, sandgatev1connect.ToolServiceListToolsProcedure+query, nil); status != http.StatusOK {
		t.Errorf("ListTools: %d %s", status, body)
	}
	for _, procedure := range []string{
		sandgatev1connect.ToolServiceCallToolProcedure, sandgatev1connect.SessionServiceCreateSessionProcedure,
		sandgatev1connect.PythonServiceRunProcedure,
	} {
		if status, _ := g.fetch(t, http.MethodGet, procedure+query, nil); status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", procedure, status)
		}
	}
	if len(g.sessions.engine.boxes) != 0 {
		t.Error("a GET made a session")
	}
}

// zeros inflates to so many zero bytes.
func zeros(t *testing.T, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	piece := make([]byte, 1<<20)
	for size > 0 {
		n, err := writer.Write(piece[:min(size, len(piece))])
		if err != nil {
			t.Fatal(err)
		}
		size -= n
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// counter tells how much was read of what it wraps.
type counter struct {
	io.Reader
	count int
}

func (c *counter) Read(into []byte) (int, error) {
	n, err := c.Reader.Read(into)
	c.count += n
	return n, err
}

func TestBoundedGzip(t *testing.T) {
	const most = 1 << 20
	for name, test := range map[string]struct {
		data []byte
		fits bool
	}{
		"exactly":         {zeros(t, most), true},
		"one more":        {zeros(t, most+1), false},
		"bomb":            {zeros(t, 64<<20), false},
		"two members":     {append(zeros(t, most), zeros(t, 1)...), false},
		"trailing rubble": {append(zeros(t, 10), "rubble"...), false},
	} {
		t.Run(name, func(t *testing.T) {
			source := &counter{Reader: bytes.NewReader(test.data)}
			b := &boundedGzip{most: most}
			if err := b.Reset(source); err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, b)
			if (err == nil) != test.fits || n > most {
				t.Errorf("%d bytes, %v", n, err)
			}
			if name == "bomb" && source.count > len(test.data)/2 {
				t.Errorf("%d of %d bytes of the bomb were read", source.count, len(test.data))
			}
		})
	}
}

func TestGzipBomb(t *testing.T) {
	g := newRig(t, nil)
	bomb := zeros(t, 64<<20)
	frame := append([]byte{1, 0, 0, 0, 0}, bomb...)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(bomb)))
	for name, test := range map[string]struct {
		header http.Header
		body   []byte
	}{
		"connect":  {http.Header{"Content-Type": {"application/proto"}, "Content-Encoding": {"gzip"}}, bomb},
		"grpc":     {http.Header{"Content-Type": {"application/grpc"}, "Grpc-Encoding": {"gzip"}}, frame},
		"grpc-web": {http.Header{"Content-Type": {"application/grpc-web"}, "Grpc-Encoding": {"gzip"}}, frame},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+sandgatev1connect.ToolServiceListToolsProcedure, bytes.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = test.header
			res, err := g.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			code := res.Header.Get("Grpc-Status") + res.Trailer.Get("Grpc-Status")
			if res.StatusCode != http.StatusTooManyRequests && code != "8" {
				t.Errorf("%d %q %s", res.StatusCode, code, body)
			}
			if all := string(body) + res.Header.Get("Grpc-Message") + res.Trailer.Get("Grpc-Message"); strings.Contains(all, "67108864") {
				t.Errorf("the bomb was inflated to its end: %s", all)
			}
		})
	}
}

func TestOversizedMessages(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			_, err := g.tools(options...).CallTool(t.Context(), &sandgatev1.CallToolRequest{
				SessionId: id, Name: "python_run", CallId: strings.Repeat("x", MaxMessageBytes+1),
			})
			if code := connect.CodeOf(err); code != connect.CodeResourceExhausted {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("endless body", func(t *testing.T) {
		endless := &counter{Reader: forever{}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+sandgatev1connect.ToolServiceListToolsProcedure, endless)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%d after %d bytes", res.StatusCode, endless.count)
		}
	})
}

type forever struct{}

func (forever) Read(into []byte) (int, error) {
	for i := range into {
		into[i] = ' '
	}
	return len(into), nil
}

func TestCodeOfTheLargestSizeGetsIn(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	code := strings.Repeat("é", 2<<20)
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			python := sandgatev1connect.NewPythonServiceClient(g.client, g.url, options...)
			stream, err := python.Run(t.Context(), &sandgatev1.RunRequest{SessionId: id, Code: code})
			if err != nil {
				t.Fatal(err)
			}
			for stream.Receive() {
			}
			if err := errors.Join(stream.Err(), stream.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTooManyCalls(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxCalls = 2 })
	id := g.session(t)
	ctx, cancel := context.WithCancel(t.Context())
	python := sandgatev1connect.NewPythonServiceClient(g.client, g.url)
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			stream, err := python.Run(ctx, &sandgatev1.RunRequest{SessionId: id, Code: "wait"})
			if err == nil {
				stream.Receive()
				err = stream.Err()
				_ = stream.Close()
			}
			ended <- err
		}()
		<-g.runs
	}
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			_, err := g.tools(options...).ListTools(t.Context(), &sandgatev1.ListToolsRequest{})
			wantError(t, err, connect.CodeResourceExhausted, ReasonOverloaded)
		})
	}
	g.get(t, "/livez", nil)  // probes are not calls
	g.get(t, "/readyz", nil) // and being full is not being broken
	cancel()
	for range 2 {
		if err := <-ended; connect.CodeOf(err) != connect.CodeCanceled {
			t.Error(err)
		}
	}
	if err := g.server.admission.drain(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(g.log.String(), `"code":"canceled"`) {
		t.Errorf("the log does not tell that the callers left:\n%s", g.log)
	}
}
