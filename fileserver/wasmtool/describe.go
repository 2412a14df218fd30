package wasmtool

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// describe returns the tool as ListTools shows it. No procedure is behind it.
func (t *terms) describe(name string) (*sandgatev1.Tool, error) {
	input, err := structpb.NewStruct(t.schema)
	if err != nil {
		return nil, fmt.Errorf("input_schema: %w", err)
	}
	properties := map[string]any{
		"exit_code": map[string]any{"type": "integer", "description": "The program's exit code; 0 where it succeeded, and where it was ended."},
		"problem":   map[string]any{"type": "string", "description": "Why the work did not succeed. Empty where it did."},
		"written":   map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "description": "The files that it wrote."},
	}
	if t.manifest.Output == OutputJSON {
		properties["value"] = map[string]any{"description": "What it answered. Not there where it did not succeed."}
	} else {
		properties["text"] = map[string]any{"type": "string", "description": "What it answered."}
	}
	output, err := structpb.NewStruct(map[string]any{"type": "object", "properties": properties, "additionalProperties": false})
	if err != nil {
		return nil, err
	}
	out := &sandgatev1.Tool{
		Name: name, Description: t.describeFiles(), InputSchema: input, OutputSchema: output,
		SideEffects: t.manifest.SideEffects, Scopes: []string{"tools"},
	}
	if len(t.manifest.Files)+len(t.manifest.Write) > 0 {
		out.Scopes = append(out.Scopes, "files")
	}
	return out, nil
}

// describeFiles returns the description, with what models must know of files.
func (t *terms) describeFiles() string {
	text := t.manifest.Description
	if len(t.manifest.Read) > 0 {
		text += " It reads files of " + home + " that match: " + strings.Join(t.manifest.Read, ", ") + "."
	}
	if len(t.manifest.Write) > 0 {
		text += " It writes files there that match: " + strings.Join(t.manifest.Write, ", ") + "."
	}
	return text
}
