package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	os.Exit(m.Run())
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

func load(t *testing.T) *Catalog {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSchemas(t *testing.T) {
	c := load(t)
	if len(c.Tools()) == 0 {
		t.Fatal("no tools")
	}
	for _, tool := range c.Tools() {
		t.Run(tool.Proto.GetName(), func(t *testing.T) {
			// Written by encoding/json: protojson varies its spaces on purpose.
			got := marshal(t, map[string]any{
				"description": tool.Proto.GetDescription(),
				"input":       tool.Proto.GetInputSchema().AsMap(),
				"output":      tool.Proto.GetOutputSchema().AsMap(),
			})
			path := filepath.Join("testdata", tool.Proto.GetName()+".json")
			if updating() {
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

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestEveryToolIsDescribed(t *testing.T) {
	for _, tool := range load(t).Tools() {
		if tool.Proto.GetDescription() == "" {
			t.Errorf("%s has no description", tool.Proto.GetName())
		}
		if slices.Contains(tool.Arguments, SessionField) {
			t.Errorf("%s takes the session as an argument", tool.Proto.GetName())
		}
		for name, property := range tool.Proto.GetInputSchema().GetFields()["properties"].GetStructValue().GetFields() {
			if property.GetStructValue().GetFields()["description"].GetStringValue() == "" {
				t.Errorf("%s.%s has no description", tool.Proto.GetName(), name)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	c := load(t)
	const run = "/sandgate.v1.PythonService/Run"
	method := c.Method(run)
	if method == nil || Procedure(method) != run || !slices.Contains(c.Procedures(), run) {
		t.Errorf("method %v", method)
	}
	if c.Method("/sandgate.guest.v1.GuestService/Info") != nil {
		t.Error("the guest's private service is in the catalogue")
	}
	if c.Tool("python_run").Method != method || c.Tool("nope") != nil {
		t.Error("python_run is not its RPC")
	}
	for _, procedure := range c.Procedures() {
		if len(Options(c.Method(procedure)).GetScopes()) == 0 {
			t.Errorf("%s has no scopes", procedure)
		}
	}
}

// compile makes a message descriptor of a file in text form.
func compile(t *testing.T, text string) protoreflect.FileDescriptor {
	t.Helper()
	var raw descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	file, err := protodesc.NewFile(&raw, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMessageThatContainsItself(t *testing.T) {
	file := compile(t, `name: "t.proto" package: "t" syntax: "proto3"
		message_type { name: "Node"
			field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
			field { name: "children" number: 2 type: TYPE_MESSAGE type_name: ".t.Node" label: LABEL_REPEATED } }`)
	got, err := messageSchema(file.Messages().Get(0), comments{}, true)
	if err != nil {
		t.Fatal(err)
	}
	text := string(marshal(t, got.AsMap()))
	if strings.Count(text, `"$ref": "#/$defs/t.Node"`) != 2 || strings.Count(text, `"t.Node": {`) != 1 {
		t.Errorf("schema:\n%s", text)
	}
}

func TestScalars(t *testing.T) {
	file := compile(t, `name: "s.proto" package: "s" syntax: "proto3"
		message_type { name: "All"
			field { name: "f" number: 1 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
			field { name: "u" number: 2 type: TYPE_UINT64 label: LABEL_OPTIONAL }
			field { name: "i" number: 3 type: TYPE_SINT32 label: LABEL_OPTIONAL }
			field { name: "b" number: 4 type: TYPE_BYTES label: LABEL_OPTIONAL }
			field { name: "z" number: 5 type: TYPE_BOOL label: LABEL_REPEATED }
			field { name: "e" number: 6 type: TYPE_ENUM type_name: ".s.E" label: LABEL_OPTIONAL } }
		enum_type { name: "E" value { name: "E_ZERO" number: 0 } value { name: "E_ONE" number: 1 } }`)
	for name, test := range map[string]struct {
		input bool
		want  string
	}{
		"input": {true, `{"b":{"contentEncoding":"base64","type":"string"},"e":{"enum":["E_ZERO","E_ONE"],"type":"string"},` +
			`"f":{"type":"number"},"i":{"type":"integer"},"u":{"minimum":0,"type":"integer"},"z":{"items":{"type":"boolean"},"type":"array"}}`},
		"output": {false, `{"b":{"contentEncoding":"base64","type":"string"},"e":{"enum":["E_ZERO","E_ONE"],"type":"string"},` +
			`"f":{"anyOf":[{"type":"number"},{"enum":["NaN","Infinity","-Infinity"]}]},"i":{"type":"integer"},` +
			`"u":{"pattern":"^-?[0-9]+$","type":"string"},"z":{"items":{"type":"boolean"},"type":"array"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			schema, err := messageSchema(file.Messages().Get(0), comments{}, test.input)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(schema.AsMap()["properties"])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnknownTypeIsAnError(t *testing.T) {
	file := compile(t, `name: "w.proto" package: "w" syntax: "proto3" dependency: "google/protobuf/descriptor.proto"
		message_type { name: "M" field { name: "d" number: 1 type: TYPE_MESSAGE type_name: ".google.protobuf.FileDescriptorSet" label: LABEL_OPTIONAL } }`)
	if _, err := messageSchema(file.Messages().Get(0), comments{}, true); !errors.Is(err, errNoSchema) {
		t.Errorf("got %v", err)
	}
}
