package loopback

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request makes a request with a context that ends with the test.
func request(ctx context.Context, t *testing.T, method, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost/a?b=c", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	return string(text)
}

type key struct{}

func TestRequestIsAsReceived(t *testing.T) {
	client := &Client{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil || string(text) != "hello" {
			t.Errorf("body %q, %v", text, err)
		}
		if r.Host != "localhost" || r.RequestURI != "/a?b=c" || r.ProtoMajor != 2 || r.Method != http.MethodPut {
			t.Errorf("%s %s on %s, %s", r.Method, r.RequestURI, r.Host, r.Proto)
		}
		if r.Context().Value(key{}) != nil {
			t.Error("a value of the caller's context crossed")
		}
		r.Header.Set("X", "changed")
		w.Header().Set("Got", r.Header.Get("Y"))
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK) // too late
		w.Header().Set("Got", "too late")
		_, _ = io.WriteString(w, "reply")
	})}
	r := request(context.WithValue(t.Context(), key{}, 1), t, http.MethodPut, "hello")
	r.Header.Set("X", "mine")
	r.Header.Set("Y", "yes")
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, res); got != "reply" || res.StatusCode != http.StatusTeapot || res.Header.Get("Got") != "yes" {
		t.Errorf("%d %q %v", res.StatusCode, got, res.Header)
	}
	if r.Header.Get("X") != "mine" {
		t.Error("the handler changed the caller's headers")
	}
}

func TestTrailers(t *testing.T) {
	client := &Client{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Announced, Missing")
		w.Header().Set(http.TrailerPrefix+"Early", "1")
		_, _ = io.WriteString(w, "x")
		w.Header().Set("Announced", "2")
		w.Header().Set(http.TrailerPrefix+"Late", "3")
		w.Header().Set("Lost", "4")
	})}
	res, err := client.Do(request(t.Context(), t, http.MethodGet, ""))
	if err != nil {
		t.Fatal(err)
	}
	read(t, res)
	want := http.Header{"Announced": {"2"}, "Early": {"1"}, "Late": {"3"}}
	if len(res.Trailer) != len(want) {
		t.Errorf("trailers %v", res.Trailer)
	}
	for name := range want {
		if res.Trailer.Get(name) != want.Get(name) {
			t.Errorf("%s: %q", name, res.Trailer.Get(name))
		}
	}
	for name := range res.Header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			t.Errorf("%s came with the headers", name)
		}
	}
}

func TestStreams(t *testing.T) {
	step := make(chan struct{})
	client := &Client{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		for _, piece := range []string{"a", "b"} {
			<-step
			_, _ = io.WriteString(w, piece)
		}
	})}
	res, err := client.Do(request(t.Context(), t, http.MethodGet, ""))
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 10)
	for _, want := range []string{"a", "b"} { // each comes before the next is written
		step <- struct{}{}
		if n, err := res.Body.Read(buffer); err != nil || string(buffer[:n]) != want {
			t.Errorf("%q, %v", buffer[:n], err)
		}
	}
	read(t, res)
}

// TestEnds tries every way in which a caller leaves, and in which a handler ends. That nothing is
// left running is goleak's to say.
func TestEnds(t *testing.T) {
	waits := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		<-r.Context().Done()
		if _, err := io.WriteString(w, "late"); err == nil {
			t.Error("a caller that left took something")
		}
	})
	t.Run("close", func(t *testing.T) {
		res, err := (&Client{Handler: waits}).Do(request(t.Context(), t, http.MethodGet, ""))
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		res, err := (&Client{Handler: waits}).Do(request(ctx, t, http.MethodGet, ""))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.ReadAll(res.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("read after the end: %v", err)
		}
		_ = res.Body.Close()
	})
	t.Run("cancel before a status", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := &Client{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})}
		if res, err := client.Do(request(ctx, t, http.MethodGet, "")); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, %v", res, err)
		}
	})
	t.Run("no reply", func(t *testing.T) {
		client := &Client{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		res, err := client.Do(request(t.Context(), t, http.MethodGet, ""))
		if err != nil || res.StatusCode != http.StatusOK || read(t, res) != "" {
			t.Errorf("%v, %v", res, err)
		}
	})
	t.Run("panic", func(t *testing.T) {
		client := &Client{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret") })}
		if _, err := client.Do(request(t.Context(), t, http.MethodGet, "")); !errors.Is(err, errPanic) {
			t.Error(err)
		}
	})
	t.Run("panic behind a status", func(t *testing.T) {
		client := &Client{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic("secret")
		})}
		res, err := client.Do(request(t.Context(), t, http.MethodGet, ""))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(res.Body); string(text) != "half" || !errors.Is(err, errPanic) {
			t.Errorf("%q, %v", text, err)
		}
		_ = res.Body.Close()
	})
}

// echo is an API with a unary RPC and a stream that lasts until it is cancelled.
type echo struct {
	sandgatev1connect.UnimplementedToolServiceHandler
	ended chan error
}

func (*echo) CallTool(_ context.Context, req *sandgatev1.CallToolRequest) (*sandgatev1.CallToolResponse, error) {
	if req.GetName() == "" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no tool"))
	}
	return &sandgatev1.CallToolResponse{Status: sandgatev1.Status_STATUS_OK}, nil
}

func (e *echo) StreamTool(ctx context.Context, _ *sandgatev1.StreamToolRequest, stream *connect.ServerStream[sandgatev1.StreamToolResponse]) error {
	if err := stream.Send(&sandgatev1.StreamToolResponse{}); err != nil {
		return err
	}
	<-ctx.Done()
	e.ended <- ctx.Err()
	return ctx.Err()
}

// TestConnect calls an API over the client in every protocol, trailers of gRPC included.
func TestConnect(t *testing.T) {
	e := &echo{ended: make(chan error, 1)}
	_, handler := sandgatev1connect.NewToolServiceHandler(e)
	for name, options := range map[string][]connect.ClientOption{
		"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			tools := sandgatev1connect.NewToolServiceClient(&Client{Handler: handler}, "http://localhost", options...)
			res, err := tools.CallTool(t.Context(), &sandgatev1.CallToolRequest{Name: "x"})
			if err != nil || res.GetStatus() != sandgatev1.Status_STATUS_OK {
				t.Errorf("%v, %v", res, err)
			}
			if _, err := tools.CallTool(t.Context(), &sandgatev1.CallToolRequest{}); connect.CodeOf(err) != connect.CodeNotFound {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := tools.StreamTool(ctx, &sandgatev1.StreamToolRequest{})
			if err != nil || !stream.Receive() {
				t.Fatalf("%v, %v", err, stream.Err())
			}
			cancel()
			if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeCanceled {
				t.Error(stream.Err())
			}
			if err := <-e.ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the handler ended with %v", err)
			}
			_ = stream.Close()
		})
	}
}

func BenchmarkUnary(b *testing.B) {
	_, handler := sandgatev1connect.NewToolServiceHandler(&echo{})
	tools := sandgatev1connect.NewToolServiceClient(&Client{Handler: handler}, "http://localhost", connect.WithAcceptCompression("gzip", nil, nil))
	for b.Loop() {
		if _, err := tools.CallTool(b.Context(), &sandgatev1.CallToolRequest{Name: "x"}); err != nil {
			b.Fatal(err)
		}
	}
}
