package mcp

import (
	"strings"
	"testing"

	"github.com/sandgate/sandgate/sandbox"
)

func TestNamedSessions(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, modern, nil, "?template=data")
	made := func(arguments map[string]any) string {
		text, res := c.tool(t, createTool, arguments)
		structured, ok := res.StructuredContent.(map[string]any)
		id, _ := structured["session_id"].(string)
		if res.IsError || !ok || !strings.Contains(text, id) || !strings.HasPrefix(id, "ses_") {
			t.Fatalf("%v %q %v", res.IsError, text, res.StructuredContent)
		}
		return id
	}
	python := func(id string) string {
		text, _ := c.tool(t, "python_run", map[string]any{"code": "box", "session_id": id})
		return text
	}
	first, second := made(nil), made(map[string]any{"template": "python"})
	for id, want := range map[string]string{first: "box-0 data", second: "box-1 python"} {
		for range 2 {
			if got := python(id); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
	if text, res := c.tool(t, deleteTool, map[string]any{"session_id": first}); res.IsError {
		t.Error(text)
	}
	for id, want := range map[string]string{
		first:      "no such session (SESSION_NOT_FOUND)\nIts variables, files and programs are gone. This call was not made. Call session_create",
		"":         "session_id: is required (INVALID_ARGUMENT)\nCall session_create once",
		"ses_none": "no such session",
	} {
		if got := python(id); !strings.Contains(got, want) {
			t.Errorf("%q: %q", id, got)
		}
	}
	g.engine.all()[1].die(sandbox.ErrLost)
	if got := python(second); !strings.Contains(got, "(SESSION_LOST)\nIts variables") {
		t.Errorf("a lost session: %q", got)
	}
	for want, arguments := range map[string]map[string]any{
		`"memory" is unknown`:               {"memory": "1"},
		`"template" is unknown or no text`:  {"template": 7},
		"template: there is none of this":   {"template": "other"},
		"session_id: is required (INVALID_": nil, // of session_delete
	} {
		name := createTool
		if arguments == nil {
			name = deleteTool
		}
		if text, res := c.tool(t, name, arguments); !res.IsError || !strings.Contains(text, want) {
			t.Errorf("%v: %q", arguments, text)
		}
	}
	if text, res := c.tool(t, deleteTool, map[string]any{"session_id": second, "force": "1"}); !res.IsError {
		t.Error(text)
	}
	if n := len(g.engine.all()); n != 2 {
		t.Errorf("%d sandboxes were made", n)
	}
}

// TestModernHasNoSession wants two requests of one client to have nothing in common but what they say.
func TestModernHasNoSession(t *testing.T) {
	g := newRig(t, nil)
	c := g.connect(t, modern, nil, "")
	if c.ID() != "" {
		t.Errorf("it has the session %s", c.ID())
	}
	if text, res := c.tool(t, "file_read", map[string]any{"path": "a"}); !res.IsError || !strings.Contains(text, createTool) {
		t.Errorf("a call without a session: %q", text)
	}
	g.facade.sessions.mu.Lock()
	defer g.facade.sessions.mu.Unlock()
	if n := len(g.facade.sessions.all); n != 0 {
		t.Errorf("%d sessions are kept", n)
	}
}
