package definitions_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/catalog"
	"github.com/sandgate/sandgate/gateway/catalog/definitions"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	goleak.VerifyTestMain(m)
}

func tools(t *testing.T) []*sandgatev1.Tool {
	t.Helper()
	c, err := catalog.New()
	if err != nil {
		t.Fatal(err)
	}
	var out []*sandgatev1.Tool
	for _, tool := range c.Tools() {
		out = append(out, tool.Proto)
	}
	return out
}

func write(t *testing.T, format definitions.Format) []byte {
	t.Helper()
	list, err := definitions.Of(format, tools(t))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(list); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	for _, format := range definitions.Formats() {
		t.Run(string(format), func(t *testing.T) {
			got := write(t, format)
			path := filepath.Join("testdata", string(format)+".json")
			if flag.Lookup("update").Value.String() == "true" {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v; run with -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s has changed (-want +got), run with -update if it should:\n%s", path, diff)
			}
		})
	}
}

// definition is any of the forms, read as the API that takes it does: it has no other fields.
type definition struct {
	Type         string      `json:"type"`
	Name         string      `json:"name"`
	Description  string      `json:"description"`
	Parameters   any         `json:"parameters"`
	Strict       *bool       `json:"strict"`
	InputSchema  any         `json:"input_schema"`
	MCPInput     any         `json:"inputSchema"`
	OutputSchema any         `json:"outputSchema"`
	Annotations  any         `json:"annotations"`
	Function     *definition `json:"function"`
}

func (d definition) schema() any {
	for _, schema := range []any{d.Parameters, d.InputSchema, d.MCPInput} {
		if schema != nil {
			return schema
		}
	}
	return nil
}

// TestLimits holds every definition against what the APIs refuse.
func TestLimits(t *testing.T) {
	name := regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	for _, format := range definitions.Formats() {
		decoder := json.NewDecoder(bytes.NewReader(write(t, format)))
		decoder.DisallowUnknownFields()
		var list []definition
		if err := decoder.Decode(&list); err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			t.Fatal("no tools")
		}
		for _, d := range list {
			isFunction := d.Type == "function"
			if d.Function != nil {
				d = *d.Function
			}
			if !name.MatchString(d.Name) || d.Description == "" {
				t.Errorf("%s: name %q, description %q", format, d.Name, d.Description)
			}
			if openAI := strings.HasPrefix(string(format), "openai"); openAI != isFunction || openAI != (d.Strict != nil) ||
				openAI && utf8.RuneCountInString(d.Description) > 1024 {
				t.Errorf("%s: %s is no function of OpenAI's, or one too many", format, d.Name)
			}
			checkSchema(t, fmt.Sprintf("%s-%s", format, d.Name), d.schema())
			if d.OutputSchema != nil {
				compile(t, d.Name+"-output", d.OutputSchema)
			}
		}
	}
}

func compile(t *testing.T, name string, schema any) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(name+".json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// checkSchema compiles a schema of arguments, which holds it against its meta-schema, and looks for
// what model APIs refuse beyond that.
func checkSchema(t *testing.T, name string, schema any) {
	t.Helper()
	compile(t, name, schema)
	top, _ := schema.(map[string]any)
	if top["type"] != "object" || top["properties"] == nil {
		t.Errorf("%s: its top level is %v", name, top)
	}
	for _, keyword := range []string{"$schema", "oneOf", "anyOf", "allOf", "not", "enum", "const", "if"} {
		if top[keyword] != nil {
			t.Errorf("%s: %q at the top level", name, keyword)
		}
	}
	key := regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`) // Anthropic's rule for names of properties
	var walk func(path string, node any)
	walk = func(path string, node any) {
		object, ok := node.(map[string]any)
		if !ok {
			return
		}
		if object["type"] == "array" && object["items"] == nil {
			t.Errorf("%s: an array without items", path)
		}
		properties, _ := object["properties"].(map[string]any)
		for property, below := range properties {
			if !key.MatchString(property) || property == catalog.SessionField {
				t.Errorf("%s: a property %q", path, property)
			}
			walk(path+"."+property, below)
		}
		walk(path+"[]", object["items"])
		walk(path+"{}", object["additionalProperties"])
	}
	walk(name, schema)
}

// TestArguments tries schemas on arguments, so that one that allows everything is found.
func TestArguments(t *testing.T) {
	list, err := definitions.Of(definitions.Anthropic, tools(t))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	var read []definition
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	schemas := map[string]*jsonschema.Schema{}
	for _, d := range read {
		schemas[d.Name] = compile(t, d.Name, d.schema())
	}
	for _, test := range []struct {
		tool, arguments string
		fits            bool
	}{
		{"python_run", `{"code": "6*7"}`, true},
		{"python_run", `{"code": "6*7", "timeout": "1.5s", "env": {"A": "b"}}`, true},
		{"python_run", `{}`, false},
		{"python_run", `{"code": ""}`, false},
		{"python_run", `{"code": "6*7", "env": {"A B": "b"}}`, false},
		{"python_run", `{"code": "6*7", "timeout": 5}`, false},
		{"python_run", `{"code": "6*7", "session_id": "s"}`, false},
		{"file_write", `{"path": "a"}`, true},
		{"file_write", `{"path": "a", "text": "b"}`, true},
		{"file_write", `{"path": "a", "mode": 512}`, false},
	} {
		arguments, err := jsonschema.UnmarshalJSON(strings.NewReader(test.arguments))
		if err != nil {
			t.Fatal(err)
		}
		if err := schemas[test.tool].Validate(arguments); (err == nil) != test.fits {
			t.Errorf("%s %s: %v", test.tool, test.arguments, err)
		}
	}
}

func toolOf(t *testing.T, name, description, schema string) *sandgatev1.Tool {
	t.Helper()
	tool := &sandgatev1.Tool{Name: name, Description: description, InputSchema: &structpb.Struct{}}
	if err := tool.GetInputSchema().UnmarshalJSON([]byte(schema)); err != nil {
		t.Fatal(err)
	}
	return tool
}

func TestDescriptions(t *testing.T) {
	const plain = `{"type": "object", "properties": {}}`
	const choice = `{"type": "object", "allOf": [
		{"oneOf": [{"required": ["c"]}, {"required": ["b"]}, {"required": ["a"]}]},
		{"oneOf": [{"required": ["x"]}, {"required": ["y"]}, {"not": {"anyOf": [{"required": ["x"]}, {"required": ["y"]}]}}]}]}`
	const words = " Exactly one of `a`, `b` and `c` must be set. At most one of `x` and `y` may be set."
	first := strings.Repeat("a", 500) + "."
	for name, test := range map[string]struct{ description, schema, want string }{
		"whole":            {"One. Two.", plain, "One. Two."},
		"as long as may":   {strings.Repeat("é", 1023) + ".", plain, strings.Repeat("é", 1023) + "."},
		"by one sentence":  {first + " " + strings.Repeat("b", 523) + ".", plain, first},
		"no end in number": {first + " It is " + strings.Repeat("3.14", 200), plain, first},
		"no sentence":      {strings.Repeat("word ", 300), plain, strings.TrimSpace(strings.Repeat("word ", 204)) + "…"},
		"no space":         {strings.Repeat("é", 2000), plain, strings.Repeat("é", 1023) + "…"},
		"rules":            {"One.", choice, "One." + words},
		"rules alone":      {"", choice, words[1:]},
		"rules are kept":   {first + " " + strings.Repeat("b", 500) + ".", choice, first + words},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := definitions.Of(definitions.OpenAIResponses, []*sandgatev1.Tool{toolOf(t, "t", test.description, test.schema)})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(list)
			if err != nil {
				t.Fatal(err)
			}
			var got []definition
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got[0].Description); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	const plain = `{"type": "object"}`
	for name, test := range map[string]struct {
		format definitions.Format
		tool   *sandgatev1.Tool
		want   string
	}{
		"no such format":   {"soap", toolOf(t, "t", "", plain), "soap"},
		"name too long":    {definitions.MCP, toolOf(t, strings.Repeat("t", 65), "", plain), "64"},
		"name with a dot":  {definitions.Anthropic, toolOf(t, "a.b", "", plain), "letters"},
		"no name":          {definitions.OpenAI, toolOf(t, "", "", plain), "letters"},
		"no object":        {definitions.OpenAI, toolOf(t, "t", "", `{"type": "string"}`), "object"},
		"nothing":          {definitions.OpenAI, toolOf(t, "t", "", `{}`), "object"},
		"unknown rule":     {definitions.OpenAI, toolOf(t, "t", "", `{"type": "object", "allOf": [{"minProperties": 2}]}`), "words"},
		"unknown branch":   {definitions.OpenAI, toolOf(t, "t", "", `{"type": "object", "allOf": [{"oneOf": [{"required": ["a", "b"]}]}]}`), "words"},
		"oneOf at the top": {definitions.OpenAI, toolOf(t, "t", "", `{"type": "object", "oneOf": [{}]}`), "oneOf"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := definitions.Of(test.format, []*sandgatev1.Tool{test.tool}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
