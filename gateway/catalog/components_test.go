package catalog

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestComponents(t *testing.T) {
	file := compile(t, `name: "c.proto" package: "c" syntax: "proto3"
		message_type { name: "Node"
			field { name: "big_number" number: 1 type: TYPE_INT64 label: LABEL_OPTIONAL json_name: "bigNumber" }
			field { name: "children" number: 2 type: TYPE_MESSAGE type_name: ".c.Node" label: LABEL_REPEATED json_name: "children" }
			field { name: "e" number: 3 type: TYPE_ENUM type_name: ".c.E" label: LABEL_OPTIONAL json_name: "e" } }
		message_type { name: "Ask"
			field { name: "session_id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "sessionId" }
			field { name: "node" number: 2 type: TYPE_MESSAGE type_name: ".c.Node" label: LABEL_OPTIONAL json_name: "node" } }
		enum_type { name: "E" value { name: "E_ZERO" number: 0 } }
		service { name: "S" method { name: "M" input_type: ".c.Ask" output_type: ".c.Node" } }`)
	method := file.Services().Get(0).Methods().Get(0)
	c := &Catalog{notes: comments{"c.E": "What it is."}, methods: map[string]protoreflect.MethodDescriptor{Procedure(method): method}}
	components := c.Components("#/x/")
	for _, want := range []struct {
		add func() (map[string]any, error)
		ref string
	}{
		{func() (map[string]any, error) { return components.Request(method.Input()) }, "#/x/c.Ask"},
		{func() (map[string]any, error) { return components.Reply(method.Output()) }, "#/x/c.Node"},
		{func() (map[string]any, error) { return components.Reply(method.Output()) }, "#/x/c.Node"},
	} {
		if got, err := want.add(); err != nil || got["$ref"] != want.ref {
			t.Errorf("%v %v, want %s", got, err, want.ref)
		}
	}
	got, err := json.MarshalIndent(components.Schemas(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	node := func(name, number string) string {
		return `{"type": "object", "additionalProperties": false, "properties": {"bigNumber": ` + number + `,
			"children": {"type": "array", "items": {"$ref": "#/x/` + name + `"}}, "e": {"$ref": "#/x/c.E"}}}`
	}
	want := `{
		"c.Ask": {"type": "object", "additionalProperties": false, "required": ["sessionId"], "properties": {
			"sessionId": {"type": "string", "minLength": 1}, "node": {"$ref": "#/x/c.NodeInput"}}},
		"c.E": {"type": "string", "enum": ["E_ZERO"], "description": "What it is."},
		"c.Node": ` + node("c.Node", `{"type": "string", "pattern": "^-?[0-9]+$"}`) + `,
		"c.NodeInput": ` + node("c.NodeInput", `{"type": "integer"}`) + `}`
	var gotValue, wantValue any
	if err := errors.Join(json.Unmarshal(got, &gotValue), json.Unmarshal([]byte(want), &wantValue)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantValue, gotValue); diff != "" {
		t.Error(diff)
	}
}

func TestComponentsOfUnknownType(t *testing.T) {
	file := compile(t, `name: "u.proto" package: "u" syntax: "proto3" dependency: "google/protobuf/descriptor.proto"
		message_type { name: "M" field { name: "d" number: 1 type: TYPE_MESSAGE type_name: ".google.protobuf.FileDescriptorSet" label: LABEL_OPTIONAL } }`)
	if _, err := (&Catalog{}).Components("#").Reply(file.Messages().Get(0)); !errors.Is(err, errNoSchema) {
		t.Errorf("got %v", err)
	}
}
