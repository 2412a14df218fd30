package mcp

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// spyTools sees the calls of a client before they are made.
type spyTools struct {
	sandgatev1connect.ToolServiceClient
	see func(ctx context.Context, call string)
}

func (s *spyTools) ListTools(ctx context.Context, req *sandgatev1.ListToolsRequest) (*sandgatev1.ListToolsResponse, error) {
	s.see(ctx, "list")
	return s.ToolServiceClient.ListTools(ctx, req)
}

func (s *spyTools) StreamTool(ctx context.Context, req *sandgatev1.StreamToolRequest) (*connect.ServerStreamForClient[sandgatev1.StreamToolResponse], error) {
	s.see(ctx, "stream")
	return s.ToolServiceClient.StreamTool(ctx, req)
}

// sent returns a header that a call will be made with.
func sent(ctx context.Context, name string) string {
	var got string
	client := sandgatev1connect.NewToolServiceClient(doer(func(r *http.Request) (*http.Response, error) {
		got = r.Header.Get(name)
		return nil, context.Canceled
	}), "http://localhost")
	_, _ = client.ListTools(ctx, &sandgatev1.ListToolsRequest{})
	return got
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// with returns headers, changed. A nil value takes a header away.
func with(header, change http.Header) http.Header {
	out := header.Clone()
	maps.Copy(out, change)
	for name, values := range change {
		if values == nil {
			delete(out, name)
		}
	}
	return out
}

// record asks a handler for a page.
func record(handler http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}
