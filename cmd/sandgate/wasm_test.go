package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/mcp"
	"github.com/sandgate/sandgate/gateway/quota"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/loopback"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// examples is a folder with the example tools, which are built once. The one in Rust is there only where its
// compiler is.
//
//nolint:gochecknoglobals // one for the package
var examples = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "wasm-tools")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("../../examples/wasm-tools/build", folder).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return folder, nil
})

// TestWasm runs what tries and checks tools, without a gateway.
func TestWasm(t *testing.T) {
	from, err := examples()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata/script/wasm", RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		env.Setenv("HOME", env.WorkDir)
		env.Setenv("TOOLS", from)
		return nil
	}, Cmds: commands(), Condition: func(condition string) (bool, error) {
		_, err := os.Stat(filepath.Join(from, "redact.wasm"))
		return condition == "rust" && err == nil, nil
	}})
}

// newTools returns a folder that holds the example tools, for a test of its own.
func newTools(t *testing.T, names ...string) string {
	t.Helper()
	from, err := examples()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range names {
		addTool(t, from, folder, name)
	}
	return folder
}

// addTool copies a tool, unless it could not be built.
func addTool(t *testing.T, from, folder, name string) {
	t.Helper()
	for _, suffix := range []string{".wasm", ".json"} {
		data, err := os.ReadFile(filepath.Join(from, name+suffix))
		if errors.Is(err, os.ErrNotExist) && name == "redact" {
			t.Skipf("%s was not built, as there is no Rust compiler with a WASI target (make setup-tests)", name)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name+suffix), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// newWiredTools is a gateway with an operator's own tools, and of the services those that calls of tools need.
func newWiredTools(t *testing.T, folder string) (w *wired, own *client) {
	t.Helper()
	cfg, log := &config.Config{StateDir: t.TempDir(), WasmTools: folder}, slog.New(slog.DiscardHandler)
	keys, err := openKeys(t.Context(), cfg, "")
	if err == nil {
		err = keys.watch(t.Context(), log)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	ledger, err := quota.NewLedger(t.Context(), keys.db, keys.ring, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ledger.Close)
	auditDir := filepath.Join(cfg.StateDir, auditFolder)
	chain, err := audit.Open(t.Context(), audit.Options{Dir: auditDir, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close(context.Background()) })
	sessions, err := gateway.NewSessions(gateway.SessionOptions{
		Driver: &sandboxtest.Fake{}, Store: keys.db, Accounts: ledger, Audit: chain, Runtime: "runc", Templates: templates(), Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sessions.Close(context.Background()) })
	calls := journal.New(t.Context(), journal.Options{Store: keys.db, Logger: log})
	t.Cleanup(func() { _ = calls.Drain(context.Background()) })
	set, err := openTools(t.Context(), cfg, sessions, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	registry := gateway.NewRegistry()
	sessions.Register(registry)
	gateway.RegisterIdentity(registry, keys.gate, sessions)
	gateway.RegisterCalls(registry, calls)
	registerFiles(registry, fileserver.New(sessions))
	gateway.RegisterOwnTools(registry, set)
	server, err := gateway.NewServer(gateway.Options{
		Registry: registry, Sessions: sessions, Authenticator: keys.gate, Journal: calls, Accounts: ledger, Audit: chain, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &wired{keys: keys, ledger: ledger, server: server, audit: chain, auditDir: auditDir},
		newClientOver(&loopback.Client{Handler: server.Handler(), From: identity.Inside}, "http://localhost")
}

// asKey returns a context for calls with a key.
func asKey(ctx context.Context, key string) context.Context {
	ctx, info := connect.NewClientContext(ctx)
	if key != "" {
		info.RequestHeader().Set("Authorization", "Bearer "+key)
	}
	return ctx
}

// session makes one with a file in it.
func (c *client) session(t *testing.T, key, path, text string) string {
	t.Helper()
	made, err := c.sessions.CreateSession(asKey(t.Context(), key), &sandgatev1.CreateSessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	id := made.GetSession().GetId()
	_, err = c.files.Write(asKey(t.Context(), key), &sandgatev1.WriteRequest{SessionId: id, Path: path, Content: &sandgatev1.WriteRequest_Text{Text: text}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// toolCall is a call of a tool.
func toolCall(t *testing.T, id, tool string, arguments map[string]any) *sandgatev1.CallToolRequest {
	t.Helper()
	fields, err := structpb.NewStruct(arguments)
	if err != nil {
		t.Fatal(err)
	}
	return &sandgatev1.CallToolRequest{SessionId: id, Name: tool, Arguments: fields}
}

// toolNamesOf returns what a key may call.
func (c *client) toolNamesOf(t *testing.T, key string) []string {
	t.Helper()
	list, err := c.tools.ListTools(asKey(t.Context(), key), &sandgatev1.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.GetTools() {
		names = append(names, tool.GetName())
	}
	return names
}

// TestOwnTools are listed and called as the API's are, with real files of a session.
func TestOwnTools(t *testing.T) {
	w, c := newWiredTools(t, newTools(t, "text_stats"))
	if names := c.toolNamesOf(t, ""); !slices.Contains(names, "text_stats") || !slices.IsSorted(names) {
		t.Errorf("%v", names)
	}
	id := c.session(t, "", "notes/a.txt", "one two two\nsecret\n")
	res, err := c.tools.CallTool(t.Context(), toolCall(t, id, "text_stats", map[string]any{"paths": []any{"notes/a.txt"}, "words": 1}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"path":"/home/user/notes/a.txt","lines":2,"words":4,"letters":19,"often":["two"]}]`
	if res.GetStatus() != sandgatev1.Status_STATUS_OK || res.GetContent()[0].GetText() != want || res.GetReceipt().GetWall() == nil {
		t.Errorf("%v", res)
	}
	found, ok := res.GetResult().AsMap()["value"].([]any)
	if !ok || len(found) != 1 {
		t.Errorf("%v", res.GetResult())
	}

	// It ran and failed, and could not be run, are two things.
	if _, err := c.files.Write(t.Context(), &sandgatev1.WriteRequest{SessionId: id, Path: "b.bin", Content: &sandgatev1.WriteRequest_Data{Data: []byte{0xff}}}); err != nil {
		t.Fatal(err)
	}
	res, err = c.tools.CallTool(t.Context(), toolCall(t, id, "text_stats", map[string]any{"paths": []any{"b.bin"}}))
	if err != nil || res.GetStatus() != sandgatev1.Status_STATUS_ERROR || res.GetContent()[0].GetText() != "/home/user/b.bin is no text" {
		t.Errorf("%v, %v", res, err)
	}
	for name, test := range map[string]struct {
		id, tool  string
		arguments map[string]any
		code      connect.Code
	}{
		"no such tool":       {id, "text_stat", nil, connect.CodeNotFound},
		"no such session":    {"ses_other", "text_stats", map[string]any{"paths": []any{"a"}}, connect.CodeNotFound},
		"no such file":       {id, "text_stats", map[string]any{"paths": []any{"a"}}, connect.CodeNotFound},
		"a missing argument": {id, "text_stats", map[string]any{}, connect.CodeInvalidArgument},
		"an unknown one":     {id, "text_stats", map[string]any{"paths": []any{"a"}, "x": 1}, connect.CodeInvalidArgument},
		"a refused file":     {id, "text_stats", map[string]any{"paths": []any{"../b.bin"}}, connect.CodeInvalidArgument},
	} {
		if res, err := c.tools.CallTool(t.Context(), toolCall(t, test.id, test.tool, test.arguments)); connect.CodeOf(err) != test.code {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
	w.auditHas(t, "text_stats")
}

// TestOwnToolsWrite: what a tool of another language writes goes into the session, and nothing that it may not.
func TestOwnToolsWrite(t *testing.T) {
	_, c := newWiredTools(t, newTools(t, "redact"))
	id := c.session(t, "", "notes/a.txt", "one two two\nsecret\n")
	stream, err := c.tools.StreamTool(t.Context(), &sandgatev1.StreamToolRequest{Call: toolCall(t, id, "redact", map[string]any{"path": "notes/a.txt", "words": []any{"secret"}})})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	if !stream.Receive() || !strings.Contains(stream.Msg().GetResult().GetContent()[0].GetText(), "[written: /home/user/redacted/a.txt]") {
		t.Fatalf("%v, %v", stream.Msg(), stream.Err())
	}
	read, err := c.files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: id, Path: "redacted/a.txt"})
	if err != nil || read.GetText() != "one two two\n[redacted]\n" {
		t.Errorf("%v, %v", read, err)
	}
	_, err = c.tools.CallTool(t.Context(), toolCall(t, id, "redact", map[string]any{"path": "notes/a.md", "words": []any{"x"}}))
	if connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a file that it may not be given: %v", err)
	}
}

// auditHas wants a call of a tool in the audit log.
func (w *wired) auditHas(t *testing.T, tool string) {
	t.Helper()
	if err := w.audit.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("grep", "-rc", `"tool":"`+tool+`"`, w.auditDir).Output()
	if err != nil {
		t.Errorf("%s is not in the audit log: %s, %v", tool, out, err)
	}
}

// TestOwnToolsRights: scopes, allowed tools and tenants hold for an operator's tools, too.
func TestOwnToolsRights(t *testing.T) {
	w, c := newWiredTools(t, newTools(t, "text_stats"))
	all := w.newKey(t, identity.Grant{Tenant: "acme"})
	id := c.session(t, all, "a.txt", "one\n")
	arguments := map[string]any{"paths": []any{"a.txt"}}
	for name, test := range map[string]struct {
		grant  identity.Grant
		code   connect.Code // zero: it may
		listed bool
	}{
		"all":            {identity.Grant{Tenant: "acme"}, 0, true},
		"that tool":      {identity.Grant{Tenant: "acme", Tools: []string{"text_stats"}}, 0, true},
		"another tool":   {identity.Grant{Tenant: "acme", Tools: []string{"file_read"}}, connect.CodePermissionDenied, false},
		"no files":       {identity.Grant{Tenant: "acme", Scopes: []string{"tools"}}, connect.CodePermissionDenied, false},
		"no tools":       {identity.Grant{Tenant: "acme", Scopes: []string{"files"}}, connect.CodePermissionDenied, false},
		"another tenant": {identity.Grant{Tenant: "other"}, connect.CodeNotFound, true},
	} {
		key := w.newKey(t, test.grant)
		res, err := c.tools.CallTool(asKey(t.Context(), key), toolCall(t, id, "text_stats", arguments))
		if test.code == 0 && err != nil || test.code != 0 && connect.CodeOf(err) != test.code {
			t.Errorf("%s: %v, %v", name, res, err)
		}
		if name != "no tools" && slices.Contains(c.toolNamesOf(t, key), "text_stats") != test.listed {
			t.Errorf("%s: listed %v", name, !test.listed)
		}
	}
	token, err := c.identity.CreateToken(asKey(t.Context(), all), &sandgatev1.CreateTokenRequest{SessionId: id, Tools: []string{"text_stats"}})
	if err != nil {
		t.Fatal(err)
	}
	other := c.session(t, all, "a.txt", "one\n")
	if _, err := c.tools.CallTool(asKey(t.Context(), token.GetToken()), toolCall(t, id, "text_stats", arguments)); err != nil {
		t.Error(err)
	}
	if _, err := c.tools.CallTool(asKey(t.Context(), token.GetToken()), toolCall(t, other, "text_stats", arguments)); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("another session: %v", err)
	}
}

// newKey returns the text of a key.
func (w *wired) newKey(t *testing.T, grant identity.Grant) string {
	t.Helper()
	_, text := w.key(t, grant)
	return text
}

// TestOwnToolsOnce: a call with a name runs once, and its result is kept.
func TestOwnToolsOnce(t *testing.T) {
	_, c := newWiredTools(t, newTools(t, "text_stats"))
	id := c.session(t, "", "a.txt", "one\n")
	call := toolCall(t, id, "text_stats", map[string]any{"paths": []any{"a.txt"}})
	call.CallId = "one"
	first, err := c.tools.CallTool(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.files.Write(t.Context(), &sandgatev1.WriteRequest{SessionId: id, Path: "a.txt"}); err != nil {
		t.Fatal(err)
	}
	again, err := c.tools.CallTool(t.Context(), call)
	if err != nil || again.GetContent()[0].GetText() != first.GetContent()[0].GetText() {
		t.Errorf("%v, %v", again, err)
	}
	list, err := c.calls.ListCalls(t.Context(), &sandgatev1.ListCallsRequest{})
	ran := slices.DeleteFunc(list.GetCalls(), func(call *sandgatev1.Call) bool { return call.GetTool() != "text_stats" }) // the write may be noted by now
	if err != nil || len(ran) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestOwnToolsOfMCP: a client of MCP lists a tool, and one that is put there while it is connected, and calls it.
func TestOwnToolsOfMCP(t *testing.T) {
	folder := newTools(t)
	w, c := newWiredTools(t, folder)
	facade, err := mcp.New(mcp.Options{Tools: c.tools, Sessions: c.sessions, Authenticate: w.server.Admit, Templates: templates(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.server.Mount(mcpPath, facade)
	t.Cleanup(func() { _ = facade.Close(context.Background()) })
	url := serveBoth(t, w.server.Handler())
	connected := func() *sdk.ClientSession { // anew each time: a client keeps the list for a minute
		session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "v1"}, nil).
			Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: url + mcpPath}, &sdk.ClientSessionOptions{ProtocolVersion: "2025-11-25"}) // whose sessions have a sandbox each
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = session.Close() })
		return session
	}
	listed := func(session *sdk.ClientSession) bool {
		list, err := session.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.Tools, func(tool *sdk.Tool) bool { return tool.Name == "text_stats" })
	}
	if listed(connected()) {
		t.Fatal("it is there before it was put there")
	}
	from, err := examples()
	if err != nil {
		t.Fatal(err)
	}
	addTool(t, from, folder, "text_stats")
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	session := connected()
	for late := time.After(2 * time.Minute); !listed(session); session = connected() {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("it was not picked up")
		}
	}
	if _, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "file_write", Arguments: map[string]any{"path": "a.txt", "text": "one two"}}); err != nil {
		t.Fatal(err)
	}
	res, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "text_stats", Arguments: map[string]any{"paths": []any{"a.txt"}}})
	if err != nil || res.IsError {
		t.Fatalf("%+v, %v", res.Content[0], err)
	}
	if text, ok := res.Content[0].(*sdk.TextContent); !ok || !strings.Contains(text.Text, `"words":2`) {
		t.Errorf("%+v", res.Content[0])
	}
	res, err = session.CallTool(t.Context(), &sdk.CallToolParams{Name: "text_stats", Arguments: map[string]any{"paths": 1}})
	if err != nil || !res.IsError {
		t.Errorf("%v, %v", res, err)
	}
}
