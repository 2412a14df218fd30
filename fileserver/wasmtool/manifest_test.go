package wasmtool

import (
	"strings"
	"testing"
)

const object = `"input_schema": {"type": "object", "properties": {"path": {"type": "string"}, "n": {"type": "integer"}, "paths": {"type": "array", "items": {"type": "string"}}}}`

// TestManifests are taken, or refused with the reason.
func TestManifests(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"the least", `{"description": "x", ` + object + `}`, ""},
		{"everything", `{"description": "x", ` + object + `, "output": "json", "limits": {"memory_mib": 256, "time_ms": 60000, "output_bytes": 2097152},
			"side_effects": true, "files": ["path", "paths"], "read": ["**"], "write": ["a/**", "{b,c}.txt"]}`, ""},
		{"no JSON", `description: x`, "invalid character"},
		{"no UTF-8", "{\"description\": \"\xff\", " + object + "}", "UTF-8"},
		{"an unknown field", `{"description": "x", ` + object + `, "network": true}`, `"network"`},
		{"an unknown limit", `{"description": "x", ` + object + `, "limits": {"cpu": 1}}`, `"cpu"`},
		{"two of them", `{"description": "x", ` + object + `} {}`, "after the manifest"},
		{"no description", `{` + object + `}`, "description"},
		{"a blank description", `{"description": " ", ` + object + `}`, "description"},
		{"a long description", `{"description": "` + strings.Repeat("x", maxDescription+1) + `", ` + object + `}`, "description"},
		{"no schema", `{"description": "x"}`, "input_schema: it is missing"},
		{"a schema of something else", `{"description": "x", "input_schema": {"type": "string"}}`, "must be \"object\""},
		{"a schema that is none", `{"description": "x", "input_schema": [1]}`, "no JSON object"},
		{"a null schema", `{"description": "x", "input_schema": null}`, "no JSON object"},
		{"a schema of no meaning", `{"description": "x", "input_schema": {"type": "object", "properties": {"a": {"type": 1}}}}`, "input_schema"},
		{"a bad pattern in it", `{"description": "x", "input_schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}}`, "input_schema"},
		{"a reference", `{"description": "x", "input_schema": {"type": "object", "properties": {"a": {"$ref": "#"}}}}`, "reference"},
		{"a deep one", `{"description": "x", "input_schema": ` + strings.Repeat(`{"type": "object", "not": `, maxDepth+1) + "{}" + strings.Repeat("}", maxDepth+1) + `}`, "too deep"},
		{"another output", `{"description": "x", ` + object + `, "output": "xml"}`, "xml"},
		{"too much memory", `{"description": "x", ` + object + `, "limits": {"memory_mib": 257}}`, "memory_mib must be from 1 to 256"},
		{"less than nothing", `{"description": "x", ` + object + `, "limits": {"time_ms": -1}}`, "time_ms"},
		{"too much output", `{"description": "x", ` + object + `, "limits": {"output_bytes": 2097153}}`, "output_bytes"},
		{"a file that is no argument", `{"description": "x", ` + object + `, "files": ["x"], "read": ["**"]}`, `"x"`},
		{"a file that is a number", `{"description": "x", ` + object + `, "files": ["n"], "read": ["**"]}`, `"n"`},
		{"files that nothing allows", `{"description": "x", ` + object + `, "files": ["path"]}`, "read allows none"},
		{"read without files", `{"description": "x", ` + object + `, "read": ["**"]}`, "names no argument"},
		{"write without side effects", `{"description": "x", ` + object + `, "write": ["**"]}`, "side_effects"},
		{"an absolute pattern", `{"description": "x", ` + object + `, "files": ["path"], "read": ["/etc/*"]}`, "relative"},
		{"a pattern that leads out", `{"description": "x", ` + object + `, "files": ["path"], "read": ["a/../../*"]}`, `".."`},
		{"a broken pattern", `{"description": "x", ` + object + `, "files": ["path"], "read": ["[a"]}`, "bracket"},
	} {
		_, err := parseManifest([]byte(test.text))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// TestNames are the tools', and none that a model or the gateway could take for one of the gateway's.
func TestNames(t *testing.T) {
	taken := func(name string) bool { return name == "taken" }
	for name, ok := range map[string]bool{
		"a": true, "text_stats": true, "filed": true, "webs": true, "x1": true, strings.Repeat("a", 63): true,
		"": false, "A": false, "1a": false, "_a": false, "a-b": false, "a.b": false, "ä": false, "a\n": false, strings.Repeat("a", 64): false,
		"taken": false, "file": false, "file_x": false, "python_run": false, "shell_x": false, "browser_x": false, "web_x": false, "session_create": false,
	} {
		if err := checkName(name, taken); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestDescribe: what models see says what of files there is, and arguments that the schema does not name are refused.
func TestDescribe(t *testing.T) {
	terms, err := parseManifest([]byte(`{"description": "Does x.", ` + object + `, "side_effects": true, "files": ["path"], "read": ["*.txt"], "write": ["out/*"]}`))
	if err != nil {
		t.Fatal(err)
	}
	tool, err := terms.describe("x")
	if err != nil {
		t.Fatal(err)
	}
	if got := tool.GetDescription(); got != "Does x. It reads files of /home/user that match: *.txt. It writes files there that match: out/*." {
		t.Error(got)
	}
	if input := tool.GetInputSchema().AsMap(); input["additionalProperties"] != false {
		t.Errorf("%v", input)
	}
	if got := strings.Join(tool.GetScopes(), " "); got != "tools files" || !tool.GetSideEffects() {
		t.Errorf("%s, %v", got, tool.GetSideEffects())
	}
}

// FuzzManifest: whatever a manifest holds, it is read or refused.
func FuzzManifest(f *testing.F) {
	f.Add(`{"description": "x", ` + object + `, "files": ["path"], "read": ["**"]}`)
	f.Add(`{"description": "x", "input_schema": {"type": "object", "properties": {"a": {"enum": [1, null], "default": "x"}}, "required": ["a"], "allOf": [{"if": {}}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		terms, err := parseManifest([]byte(text))
		if err != nil {
			return
		}
		_ = terms.check.Validate(map[string]any{"a": "x", "path": []any{"y"}})
		if _, err := terms.describe("x"); err != nil {
			t.Error(err)
		}
	})
}
