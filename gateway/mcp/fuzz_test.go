package mcp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzRequest sends bodies to a façade in every revision: whatever comes, it answers and lives. A panic
// in one of the SDK's goroutines would end the gateway.
func FuzzRequest(f *testing.F) {
	g := newRig(f, nil)
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
		`[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"file_read"}},{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
		`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"session_create","arguments":{"template":"data"},"_meta":` +
			`{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":` +
			`{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
		`{"jsonrpc":"2.0","id":1,"result":{}}`,
	} {
		for _, revision := range []string{"", "2025-03-26", legacy, modern} {
			f.Add(revision, body)
		}
	}
	f.Fuzz(func(t *testing.T, revision, body string) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"*/*"}, "Mcp-Protocol-Version": {revision}}
		w := httptest.NewRecorder()
		g.facade.ServeHTTP(w, r)
		if ctx.Err() != nil {
			t.Errorf("no answer to %q", body)
		}
		if id := w.Header().Get("Mcp-Session-Id"); id != "" {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/mcp", nil)
			r.Header.Set("Mcp-Session-Id", id)
			g.facade.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}
