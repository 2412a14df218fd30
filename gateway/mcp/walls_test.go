package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/sandgate/sandgate/gateway"
)

// as returns the header of a principal.
func as(name string) http.Header { return http.Header{"Authorization": {"Bearer " + name}} }

// TestFirstCallsShareASandbox makes the first calls of a session all at once.
func TestFirstCallsShareASandbox(t *testing.T) {
	g := newRig(t, nil)
	g.engine.gate = make(chan struct{})
	c := g.connect(t, legacy, nil, "")
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := c.CallTool(leaving, &sdk.CallToolParams{Name: "python_run", Arguments: map[string]any{"code": "box"}})
		left <- err
	}()
	until(t, "the making of a sandbox", func() bool { return g.sessions.Counts().Creating == 1 })
	var calls sync.WaitGroup
	for range 5 {
		calls.Go(func() {
			if got := c.python(t, "box"); got != "box-0 python" {
				t.Errorf("a call was in %s", got)
			}
		})
	}
	leave() // who asked first leaves, and what was begun goes on for the others
	if err := <-left; err == nil {
		t.Error("the call that was cancelled ended well")
	}
	close(g.engine.gate)
	calls.Wait()
	if n := len(g.engine.all()); n != 1 {
		t.Errorf("%d sandboxes were made", n)
	}
}

// TestSessionIsItsPrincipals tries a session's id with other people's keys.
func TestSessionIsItsPrincipals(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, legacy, as("ann"), "")
	c.python(t, "box")
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for name, test := range map[string]struct {
		authorization string
		status        int
	}{
		"hers": {"Bearer ann", http.StatusOK}, "another": {"Bearer bob", http.StatusNotFound},
		"none": {"", http.StatusNotFound}, "a part": {"Bearer an", http.StatusNotFound},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			if test.status == http.StatusOK && method != http.MethodPost {
				continue
			}
			header := c.headers()
			if test.authorization != "" {
				header.Set("Authorization", test.authorization)
			}
			if status, body := g.raw(t, method, header, list); status != test.status {
				t.Errorf("%s: %s: %d %s", name, method, status, body)
			}
		}
	}
	header := c.headers()
	header.Set("Mcp-Session-Id", "NOSUCHSESSION")
	status, unknown := g.raw(t, http.MethodPost, header, list)
	_, others := g.raw(t, http.MethodPost, c.headers(), list)
	if status != http.StatusNotFound || unknown != others {
		t.Errorf("an unknown session: %d %q; somebody else's: %q", status, unknown, others)
	}
	if got := c.python(t, "box"); got != "box-0 python" {
		t.Errorf("afterwards: %s", got)
	}
}

// TestNewerTokens comes back to a session with another token of the same caller, as a client does whose
// first one has expired: the calls are made with the newest, and the session goes on.
func TestNewerTokens(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	g := newRig(t, func(o *Options, _ *gateway.Options) {
		o.Authenticate = func(r *http.Request) (gateway.Caller, error) {
			name, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "-")
			return gateway.Caller{Name: name, Authorization: "Bearer onward-" + r.Header.Get("Authorization")}, nil
		}
		o.Tools = &spyTools{ToolServiceClient: o.Tools, see: func(ctx context.Context, call string) {
			mu.Lock()
			defer mu.Unlock()
			if call == "list" {
				seen = append(seen, sent(ctx, "Authorization"))
			}
		}}
	})
	c := g.connect(t, legacy, as("ann-1"), "")
	for _, test := range []struct {
		token  string
		status int
	}{{"ann-1", http.StatusOK}, {"ann-2", http.StatusOK}, {"bob-1", http.StatusNotFound}} {
		header := c.headers()
		header.Set("Authorization", "Bearer "+test.token)
		if status, body := g.raw(t, http.MethodPost, header, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); status != test.status {
			t.Errorf("%s: %d %s", test.token, status, body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{"Bearer onward-Bearer ann-1", "Bearer onward-Bearer ann-2"}
	if !slices.Equal(seen, want) {
		t.Errorf("the calls were made with %q, want %q", seen, want)
	}
	for _, s := range g.facade.sessions.all {
		if got := s.place.authorization(); got != want[1] {
			t.Errorf("the sandbox is given back with %q", got)
		}
	}
}

// TestKeysReachTheAPI wants every call of the API to carry the key of who asked for it, and the name of
// the request that it was made for.
func TestKeysReachTheAPI(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	g := newRig(t, func(o *Options, _ *gateway.Options) {
		o.Tools = &spyTools{ToolServiceClient: o.Tools, see: func(ctx context.Context, call string) {
			mu.Lock()
			defer mu.Unlock()
			seen[call+" "+sent(ctx, "Authorization")]++
			if sent(ctx, gateway.RequestIDHeader) == "" {
				t.Errorf("%s has no name", call)
			}
		}}
	})
	for _, revision := range []string{legacy, modern} {
		c := g.connect(t, revision, as(revision), "")
		if _, err := c.ListTools(t.Context(), nil); err != nil {
			t.Error(err)
		}
		c.tool(t, "file_read", map[string]any{"path": "a", "session_id": "x"})
	}
	for _, want := range []string{"list Bearer " + legacy, "stream Bearer " + legacy, "list Bearer " + modern, "stream Bearer " + modern} {
		if seen[want] != 1 {
			t.Errorf("%q was seen %d times: %v", want, seen[want], seen)
		}
	}
}

func TestTooManySessions(t *testing.T) {
	g := newRig(t, func(o *Options, _ *gateway.Options) { o.MaxSessions = 2 })
	first := g.connect(t, legacy, as("ann"), "")
	first.python(t, "box")
	second := g.connect(t, legacy, as("ann"), "")
	ended := g.waiting(t.Context(), t, second, legacy)
	if _, err := g.dial(t, legacy, as("bob"), ""); err == nil || !strings.Contains(err.Error(), "too many MCP sessions") {
		t.Errorf("somebody else got in: %v", err)
	}
	third := g.connect(t, legacy, as("ann"), "") // in place of her first, which is idle
	until(t, "the end of the first one's sandbox", func() bool { return g.engine.open() == 1 })
	if _, err := first.CallTool(t.Context(), &sdk.CallToolParams{Name: "python_run"}); err == nil {
		t.Error("the first session is still there")
	}
	third.python(t, "box")
	select {
	case err := <-ended:
		t.Errorf("the busy session ended: %v", err)
	default:
	}
	if status, body := g.raw(t, http.MethodDelete, with(second.headers(), as("ann")), ""); status != http.StatusNoContent {
		t.Errorf("%d %s", status, body)
	}
	g.wantCut(t, ended)
}

func TestTooManyCalls(t *testing.T) {
	g := newRig(t, func(o *Options, _ *gateway.Options) { o.MaxCalls = 1 })
	c := g.connect(t, legacy, nil, "")
	ctx, cancel := context.WithCancel(t.Context())
	ended := g.waiting(ctx, t, c, legacy)
	if text, res := c.tool(t, "python_run", map[string]any{"code": "box"}); !res.IsError || !strings.Contains(text, "1 calls of this session run already (OVERLOADED)\nWait") {
		t.Errorf("%q", text)
	}
	cancel()
	g.wantCut(t, ended)
	until(t, "the end of the call", func() bool {
		text, res := c.tool(t, "python_run", map[string]any{"code": "box"})
		return !res.IsError && text == "box-0 python"
	})
}

// TestEveryPlaceTaken fills the gateway with requests that need another call each.
func TestEveryPlaceTaken(t *testing.T) {
	g := newRig(t, func(_ *Options, o *gateway.Options) { o.MaxCalls = 1 })
	c := g.connect(t, legacy, nil, "")
	c.python(t, "box")
	ended := g.waiting(t.Context(), t, c, legacy)
	if text, res := c.tool(t, "python_run", map[string]any{"code": "box"}); !res.IsError || !strings.Contains(text, "(OVERLOADED)\nTry again in a moment") {
		t.Errorf("%q", text)
	}
	if status, _ := g.raw(t, http.MethodDelete, c.headers(), ""); status != http.StatusNoContent {
		t.Error(status)
	}
	g.wantCut(t, ended)
}

func TestRequestsThatAreRefused(t *testing.T) {
	g := newRig(t, func(_ *Options, o *gateway.Options) { o.AllowedHosts = []string{"gate.example"} })
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	begin := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, legacy)
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	for name, test := range map[string]struct {
		change http.Header
		body   string
		status int
		want   string
	}{
		"fine":               {nil, begin, http.StatusOK, "serverInfo"},
		"an allowed Host":    {http.Header{"Host": {"gate.example:80"}}, begin, http.StatusOK, "serverInfo"},
		"a rebound Host":     {http.Header{"Host": {"evil.example"}}, begin, http.StatusForbidden, "HOST_REFUSED"},
		"a web page":         {http.Header{"Origin": {"https://evil.example"}}, begin, http.StatusForbidden, "ORIGIN_REFUSED"},
		"its own page":       {http.Header{"Origin": {g.url}}, begin, http.StatusForbidden, "ORIGIN_REFUSED"},
		"not initialized":    {nil, list, http.StatusOK, "invalid during session initialization"},
		"not JSON":           {nil, "{", http.StatusBadRequest, "malformed"},
		"many values":        {nil, `{"a":[` + strings.Repeat("0,", 60_000) + "0]}", http.StatusBadRequest, "more than 50000 values"},
		"deep values":        {nil, strings.Repeat("[", 200), http.StatusBadRequest, "nested too deep"},
		"a large body":       {nil, strings.Repeat(" ", maxBody+1), http.StatusTooManyRequests, "more than 8388608 bytes"},
		"no media type":      {http.Header{"Content-Type": nil}, begin, http.StatusUnsupportedMediaType, ""},
		"an old revision":    {http.Header{"Mcp-Protocol-Version": {"1999-01-01"}}, begin, http.StatusBadRequest, "Unsupported protocol version"},
		"a future revision":  {http.Header{"Mcp-Protocol-Version": {"2999-01-01"}, "Mcp-Method": {"tools/list"}}, strings.Replace(list, `list"`, `list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2999-01-01","io.modelcontextprotocol/clientCapabilities":{}}}`, 1), http.StatusBadRequest, modern},
		"another media type": {http.Header{"Content-Type": {"text/plain"}}, begin, http.StatusUnsupportedMediaType, ""},
	} {
		status, body := g.raw(t, http.MethodPost, with(header, test.change), test.body)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s: %d %.300s", name, status, body)
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch} {
		if status, _ := g.raw(t, method, header, begin); status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, status)
		}
	}
	for _, revision := range []string{legacy, modern} {
		if _, err := g.dial(t, revision, nil, "?template=other"); err == nil || !strings.Contains(err.Error(), "Bad Request") {
			t.Errorf("an unknown template: %v", err)
		}
	}
	until(t, "the end of all but two sessions", func() bool {
		g.facade.sessions.mu.Lock()
		defer g.facade.sessions.mu.Unlock()
		return len(g.facade.sessions.all) == 2
	})
}

func TestAuthenticate(t *testing.T) {
	g := newRig(t, func(o *Options, _ *gateway.Options) {
		o.AuthorizationServers, o.Scopes = []string{"https://issuer.example"}, []string{"sessions", "tools"}
		o.Authenticate = func(r *http.Request) (gateway.Caller, error) {
			switch sent := r.Header.Get("Authorization"); sent {
			case "Bearer good":
				return gateway.Caller{Name: "ann", Authorization: sent}, nil
			case "Bearer small":
				return gateway.Caller{}, gateway.Errorf(connect.CodePermissionDenied, "SCOPE_MISSING", "Ask for more.", "not for this")
			default:
				return gateway.Caller{}, gateway.Errorf(connect.CodeUnauthenticated, "UNAUTHENTICATED", "Send a key.", "who is it?")
			}
		}
	})
	metadata := g.url + "/.well-known/oauth-protected-resource/mcp"
	for authorization, test := range map[string]struct {
		status    int
		challenge string
	}{
		"":             {http.StatusUnauthorized, fmt.Sprintf("Bearer resource_metadata=%q", metadata)},
		"Bearer bad":   {http.StatusUnauthorized, fmt.Sprintf(`Bearer resource_metadata=%q, error="invalid_token"`, metadata)},
		"Bearer small": {http.StatusForbidden, ""},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			header := http.Header{}
			if authorization != "" {
				header.Set("Authorization", authorization)
			}
			res, err := g.open(t.Context(), t, method, header, "never read")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != test.status || res.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%q: %s: %d %q", authorization, method, res.StatusCode, res.Header.Get("WWW-Authenticate"))
			}
		}
	}
	g.connect(t, legacy, as("good"), "").python(t, "box")
	got, err := oauthex.GetProtectedResourceMetadata(t.Context(), metadata, g.url+"/mcp", http.DefaultClient)
	http.DefaultClient.CloseIdleConnections()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(got)
	want := fmt.Sprintf(`{"resource":"%s/mcp","authorization_servers":["https://issuer.example"],"scopes_supported":["sessions","tools"],`+
		`"bearer_methods_supported":["header"],"resource_name":"Sandgate"}`, g.url)
	if string(text) != want {
		t.Errorf("metadata: %s", text)
	}
	if !strings.Contains(g.log.String(), `"code":"unauthenticated"`) {
		t.Error("the log does not tell of it")
	}
}

// TestMetadataOfNothing wants no pointer to tokens where none are needed, and the configured address
// where there is one.
func TestMetadataOfNothing(t *testing.T) {
	f := &Facade{opts: Options{BaseURL: "https://gate.example/"}}
	for _, test := range []struct {
		protected bool
		path      string
		status    int
		want      string
	}{
		{false, MetadataPath, http.StatusNotFound, ""},
		{true, MetadataPath, http.StatusOK, `"resource":"https://gate.example/mcp"`},
		{true, MetadataPath + "/mcp", http.StatusOK, `"resource":"https://gate.example/mcp"`},
		{true, MetadataPath + "/other", http.StatusNotFound, ""},
		{true, "/other", http.StatusNotFound, ""},
	} {
		f.opts.Authenticate = nil
		if test.protected {
			f.opts.Authenticate = func(*http.Request) (gateway.Caller, error) { return gateway.Caller{}, errors.New("no") }
		}
		status, body := record(f.Metadata(), test.path)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%v %s: %d %s", test.protected, test.path, status, body)
		}
	}
}
