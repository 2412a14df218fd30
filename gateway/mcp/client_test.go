package mcp

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// client is a client of the official SDK on a connection of its own.
type client struct {
	*sdk.ClientSession

	told chan *sdk.ProgressNotificationParams
}

// connect connects a client that speaks a revision. header is sent with every request.
func (g *rig) connect(tb testing.TB, revision string, header http.Header, query string) *client {
	tb.Helper()
	c, err := g.dial(tb, revision, header, query)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (g *rig) dial(tb testing.TB, revision string, header http.Header, query string) (*client, error) {
	tb.Helper()
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	wire := &sdk.StreamableClientTransport{
		Endpoint:   g.url + "/mcp" + query,
		HTTPClient: &http.Client{Transport: &headers{next: transport, header: header}},
	}
	return newClient(tb, wire, revision)
}

func newClient(tb testing.TB, wire sdk.Transport, revision string) (*client, error) {
	tb.Helper()
	c := &client{told: make(chan *sdk.ProgressNotificationParams, 1000)}
	var err error
	c.ClientSession, err = sdk.NewClient(&sdk.Implementation{Name: "test", Version: "v1"}, &sdk.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, req *sdk.ProgressNotificationClientRequest) { c.told <- req.Params },
	}).Connect(tb.Context(), wire, &sdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		return nil, err
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c, nil
}

// headers is a transport that adds headers.
type headers struct {
	next   http.RoundTripper
	header http.Header
}

func (h *headers) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	maps.Copy(r.Header, h.header)
	return h.next.RoundTrip(r)
}

// headers are those that a request of the client's session needs.
func (c *client) headers() http.Header {
	return http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Session-Id": {c.ID()}, "Mcp-Protocol-Version": {legacy},
	}
}

// open makes a request without a client.
func (g *rig) open(ctx context.Context, tb testing.TB, method string, header http.Header, body string) (*http.Response, error) {
	tb.Helper()
	req, err := http.NewRequestWithContext(ctx, method, g.url+"/mcp", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return transport.RoundTrip(req)
}

// raw makes a request without a client and returns what it is answered.
func (g *rig) raw(tb testing.TB, method string, header http.Header, body string) (int, string) {
	tb.Helper()
	res, err := g.open(tb.Context(), tb, method, header, body)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// tool calls a tool and returns its texts, and whether it is an error.
func (c *client) tool(tb testing.TB, name string, arguments map[string]any) (string, *sdk.CallToolResult) {
	tb.Helper()
	res, err := c.CallTool(tb.Context(), &sdk.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return textOf(res), res
}

// python runs code that succeeds.
func (c *client) python(tb testing.TB, code string) string {
	tb.Helper()
	text, res := c.tool(tb, "python_run", map[string]any{"code": code})
	if res.IsError {
		tb.Fatalf("%s: %s", code, text)
	}
	return text
}

// newSession makes a session to be named, and returns its id.
func (c *client) newSession(tb testing.TB) string {
	tb.Helper()
	text, res := c.tool(tb, createTool, nil)
	structured, ok := res.StructuredContent.(map[string]any)
	id, isText := structured[sessionName].(string)
	if !ok || !isText {
		tb.Fatalf("no session: %s", text)
	}
	return id
}

func textOf(res *sdk.CallToolResult) string {
	var texts []string
	for _, part := range res.Content {
		if text, ok := part.(*sdk.TextContent); ok {
			texts = append(texts, text.Text)
		}
	}
	return strings.Join(texts, "\n")
}
