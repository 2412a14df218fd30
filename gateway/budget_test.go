package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

func TestBudgetOfBodies(t *testing.T) {
	held := &budget{most: 1 << 20}
	open := func(size int, streams bool, header http.Header) (*body, error) {
		b := newBody(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, size))), streams)
		if err := b.charge(held, &http.Request{Method: http.MethodPost, Header: header}); err != nil {
			return b, err
		}
		_, err := io.Copy(io.Discard, b)
		return b, err
	}
	first, err := open(1<<20, false, nil)
	if err != nil || held.used.Load() != 1<<20-bodyFree {
		t.Fatalf("%d bytes are held, %v", held.used.Load(), err)
	}
	second, err := open(1<<20, false, nil)
	wantError(t, err, connect.CodeResourceExhausted, ReasonOverloaded)
	second.stop()
	for name, test := range map[string]struct {
		size    int
		streams bool
	}{"small": {bodyFree, false}, "a stream": {16 << 20, true}} {
		free, err := open(test.size, test.streams, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		free.stop()
	}
	first.stop()
	first.stop() // gives nothing back twice
	if held.used.Load() != 0 {
		t.Errorf("%d bytes are held after the end", held.used.Load())
	}
	for _, header := range []string{"Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding"} {
		packed, err := open(600, false, http.Header{header: {"gzip"}})
		if err != nil || held.used.Load() < 512<<10 {
			t.Errorf("%s: %d bytes are held for what may become 600 KiB, %v", header, held.used.Load(), err)
		}
		packed.decoded(100 << 10)
		if held.used.Load() != 36<<10 {
			t.Errorf("%s: %d bytes are held for 100 KiB", header, held.used.Load())
		}
		packed.stop()
		bomb, err := open(4<<10, false, http.Header{header: {"gzip"}})
		wantError(t, err, connect.CodeResourceExhausted, ReasonOverloaded)
		bomb.stop()
	}
	if held.used.Load() != 0 {
		t.Errorf("%d bytes are held at last", held.used.Load())
	}
}

func TestBudgetOverTheWire(t *testing.T) {
	g := newRig(t, nil)
	g.server.held.most = 3 << 20
	id := g.session(t)
	code := strings.Repeat("x", 2<<20)
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "gzip") {
				return // small on the wire
			}
			python := sandgatev1connect.NewPythonServiceClient(g.client, g.url, options...)
			run := func(code string) error {
				stream, err := python.Run(t.Context(), &sandgatev1.RunRequest{SessionId: id, Code: code})
				if err != nil {
					return err
				}
				for stream.Receive() {
				}
				return errors.Join(stream.Err(), stream.Close())
			}
			if err := run(code); err != nil {
				t.Errorf("there is room: %v", err)
			}
			wantError(t, run(code+code), connect.CodeResourceExhausted, ReasonOverloaded)
			if err := run("1+1"); err != nil {
				t.Errorf("a small one: %v", err)
			}
		})
	}
	if err := g.server.admission.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := g.server.held.used.Load(); held != 0 {
		t.Errorf("%d bytes are held when nothing runs", held)
	}
}

func TestBudgetOfCompressedURLs(t *testing.T) {
	g := newRig(t, nil)
	g.server.held.most = 1 << 20
	list := func(message []byte) int {
		packed := base64.RawURLEncoding.EncodeToString(message)
		status, _ := g.fetch(t, http.MethodGet, sandgatev1connect.ToolServiceListToolsProcedure+
			"?encoding=proto&connect=v1&compression=gzip&base64=1&message="+packed, nil)
		return status
	}
	if got := list(zeros(t, 0)); got != http.StatusOK {
		t.Errorf("a small one: %d", got)
	}
	if got := list(zeros(t, 6<<20)); got != http.StatusTooManyRequests {
		t.Errorf("one that may become 6 MiB: %d", got)
	}
	if err := g.server.admission.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := g.server.held.used.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

func TestBudgetOfGzipIsTheDecodedSize(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	python := sandgatev1connect.NewPythonServiceClient(g.client, g.url, connect.WithSendGzip())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stream, err := python.Run(ctx, &sandgatev1.RunRequest{SessionId: id, Code: "wait", Env: map[string]string{"A": strings.Repeat("x", 30_000)}})
		if err == nil {
			stream.Receive()
			_ = stream.Close()
		}
	}()
	<-g.runs
	if held := g.server.held.used.Load(); held != 0 {
		t.Errorf("%d bytes are held for 30,000", held)
	}
	cancel()
	<-ended
}
