package mcp

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandgate/sandgate/sandbox"
)

func TestList(t *testing.T) {
	g := newRig(t, nil)
	for revision, want := range map[string][]string{
		legacy: {"file_read", "python_run"},
		modern: {"file_read", "python_run", "session_create", "session_delete"},
	} {
		c := g.connect(t, revision, nil, "")
		res, err := c.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range res.Tools {
			names = append(names, tool.Name)
			wantWellFormed(t, tool, revision == modern && tool.Name != createTool)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %v", revision, names)
		}
		if got := c.InitializeResult(); !strings.Contains(got.Instructions, "/home/user") || got.ProtocolVersion != "" && got.ProtocolVersion != revision {
			t.Errorf("%s: %s, %q", revision, got.ProtocolVersion, got.Instructions)
		}
		if _, err := c.ListTools(t.Context(), &sdk.ListToolsParams{Cursor: "x"}); err == nil {
			t.Errorf("%s: an unknown cursor was taken", revision)
		}
	}
	if n := len(g.engine.all()); n != 0 {
		t.Errorf("listing made %d sandboxes", n)
	}
}

// wantWellFormed checks what a client needs of a tool.
func wantWellFormed(t *testing.T, tool *sdk.Tool, named bool) {
	t.Helper()
	if tool.Title == "" || tool.Description == "" || tool.Annotations == nil {
		t.Errorf("%s is incomplete: %+v", tool.Name, tool)
	}
	if want := tool.Name == "file_read"; tool.Annotations != nil && tool.Annotations.ReadOnlyHint != want {
		t.Errorf("%s: read only %v", tool.Name, !want)
	}
	for name, schema := range map[string]any{"input": tool.InputSchema, "output": tool.OutputSchema} {
		fields, ok := schema.(map[string]any)
		if !ok || fields["type"] != "object" || fields["$schema"] != nil {
			t.Errorf("%s: %s schema %v", tool.Name, name, schema)
		}
	}
	input, _ := json.Marshal(tool.InputSchema)
	if has := strings.Contains(string(input), `"session_id"`); has != named {
		t.Errorf("%s: session_id among the arguments is %v", tool.Name, has)
	}
}

func TestCall(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, legacy, nil, "")
	if got := c.python(t, "box"); got != "box-0 python" {
		t.Errorf("the sandbox is %s", got)
	}
	if got := c.python(t, "box"); got != "box-0 python" {
		t.Errorf("the second call was in %s", got)
	}
	_, res := c.tool(t, "python_run", map[string]any{"code": "picture"})
	if picture, ok := res.Content[0].(*sdk.ImageContent); !ok || string(picture.Data) != "PNG" || picture.MIMEType != "image/png" {
		t.Errorf("the picture is %+v", res.Content[0])
	}
	structured, ok := res.StructuredContent.(map[string]any)
	if !ok || structured["status"] != "STATUS_OK" || structured["execution_count"] != "0" {
		t.Errorf("structured: %v", res.StructuredContent)
	}
	for _, status := range []string{"ERROR", "TIMEOUT", "OUTPUT_LIMIT"} {
		text, res := c.tool(t, "python_run", map[string]any{"code": "status " + status})
		structured, ok := res.StructuredContent.(map[string]any)
		if !res.IsError || text != "[status: "+strings.ToLower(status)+"]" || !ok || structured["status"] != "STATUS_"+status {
			t.Errorf("%s: %v %q %v", status, res.IsError, text, res.StructuredContent)
		}
	}
}

func TestCallsThatFail(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, legacy, nil, "")
	for _, test := range []struct {
		tool, want string
		arguments  map[string]any
	}{
		{"python_run", "code: is required (INVALID_ARGUMENT)\nMend the named fields", map[string]any{}},
		{"python_run", `unknown argument "kode" (INVALID_ARGUMENT)` + "\npython_run takes: ", map[string]any{"kode": "1"}},
		{"python_run", `"session_id" is a field of the call`, map[string]any{"code": "1", "session_id": "ses_other"}},
		{"file_read", "no such file: none (FILE_NOT_FOUND)\nList the directory", map[string]any{"path": "none"}},
		{"python_run", "internal error (INTERNAL)", map[string]any{"code": "panic secret"}},
		{"python_run", "the gateway was stopped while this ran", map[string]any{"code": "gone"}},
	} {
		text, res := c.tool(t, test.tool, test.arguments)
		if !res.IsError || !strings.Contains(text, test.want) || res.StructuredContent != nil {
			t.Errorf("%s %v: %v %q", test.tool, test.arguments, res.IsError, text)
		}
	}
	for _, revision := range []string{legacy, modern} {
		c := g.connect(t, revision, nil, "")
		for name, want := range map[string]string{"nothing_such": `unknown tool "nothing_such"`, "": `unknown tool ""`} {
			_, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: map[string]any{"session_id": "x"}})
			if name != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s %q: %v", revision, name, err)
			}
		}
		if _, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "python_run", Arguments: []int{1}}); err == nil || !strings.Contains(err.Error(), "JSON object") {
			t.Errorf("%s: arguments that are a list: %v", revision, err)
		}
	}
	if got := strings.Count(g.log.String(), `"secret"`); got != 0 {
		t.Errorf("the log shows code: %s", g.log.String())
	}
}

// TestEngineThatFails tells the model, and begins anew with the next call.
func TestEngineThatFails(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, legacy, nil, "")
	g.engine.mu.Lock()
	g.engine.fail = sandbox.ErrUnavailable
	g.engine.mu.Unlock()
	text, res := c.tool(t, "python_run", map[string]any{"code": "box"})
	if !res.IsError || !strings.Contains(text, "(ENGINE_UNAVAILABLE)\n") {
		t.Errorf("%v %q", res.IsError, text)
	}
	g.engine.mu.Lock()
	g.engine.fail = nil
	g.engine.mu.Unlock()
	if got := c.python(t, "box"); got != "box-0 python" {
		t.Errorf("then: %s", got)
	}
}

func TestLostSession(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, legacy, nil, "?template=data")
	if got := c.python(t, "box"); got != "box-0 data" {
		t.Errorf("the sandbox is %s", got)
	}
	g.engine.all()[0].die(sandbox.ErrLost)
	text, res := c.tool(t, "python_run", map[string]any{"code": "box"})
	if !res.IsError || !strings.Contains(text, "(SESSION_LOST)\nThe session was lost") || !strings.Contains(text, "The next one begins a new session") {
		t.Errorf("%v %q", res.IsError, text)
	}
	if n := len(g.engine.all()); n != 1 {
		t.Errorf("the failed call made a sandbox: %d", n)
	}
	if got := c.python(t, "box"); got != "box-1 data" {
		t.Errorf("the next call was in %s", got)
	}
	if counts := g.sessions.Counts(); counts.Lost != 0 || counts.Running != 1 {
		t.Errorf("sessions: %+v", counts)
	}
}
