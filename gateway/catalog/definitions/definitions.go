// Package definitions writes the catalogue's tools in the forms in which model APIs take tools. What
// it returns is the value of a request's field `tools`. A session's id is in none of them: it is a
// field of CallTool, beside the arguments, and a model neither knows nor chooses it.
package definitions

import (
	"fmt"
	"slices"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// A Format is a form of tool definitions.
type Format string

// The formats that [Of] knows.
const (
	// OpenAI is that of OpenAI's Chat Completions, which most other servers of models take too.
	OpenAI Format = "openai"
	// OpenAIResponses is that of OpenAI's Responses, which is flat.
	OpenAIResponses Format = "openai-responses"
	// Anthropic is that of Anthropic's Messages.
	Anthropic Format = "anthropic"
	// MCP is that of the Model Context Protocol, as in the result of tools/list.
	MCP Format = "mcp"
)

// Formats returns all formats.
func Formats() []Format { return []Format{OpenAI, OpenAIResponses, Anthropic, MCP} }

const (
	// maxName bounds a name. MCP and Anthropic allow 128 characters by now, OpenAI 64.
	maxName = 64
	// maxDescription bounds a description for OpenAI, in characters: some of its models, and servers
	// that imitate it, refuse a longer one, and all tools with it.
	maxDescription = 1024
)

// Of returns tools in a format, in the order in which they are given, as values that encoding/json
// writes. It fails for a format that it does not know, and for a tool that the format cannot hold: a
// name that is not 1 to 64 letters, digits, `_` and `-`, or a schema whose top level says what cannot
// be said there.
func Of(format Format, tools []*sandgatev1.Tool) ([]any, error) {
	if !slices.Contains(Formats(), format) {
		return nil, fmt.Errorf("there is no format %q", format)
	}
	out := make([]any, 0, len(tools))
	for _, tool := range tools {
		definition, err := one(format, tool)
		if err != nil {
			return nil, fmt.Errorf("tool %q: %w", tool.GetName(), err)
		}
		out = append(out, definition)
	}
	return out, nil
}

// function is a function of OpenAI's. Strict is written out even though it is false, as Responses
// takes a function that does not say otherwise for a strict one. Strict would promise that a model's
// arguments fit the schema, but only for schemas whose properties are all required and whose objects
// name all their properties: most arguments may be left out here, and environment variables have
// names of the caller's. The gateway checks the arguments and says what is wrong with them.
type function struct {
	Type        string         `json:"type,omitempty"` // of the flat form only
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Parameters  map[string]any `json:"parameters"`
	Strict      bool           `json:"strict"`
}

type chatTool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type anthropicTool struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	InputSchema map[string]any `json:"input_schema"`
}

type mcpTool struct {
	Name         string         `json:"name"`
	Description  string         `json:"description"`
	InputSchema  map[string]any `json:"inputSchema"`
	OutputSchema map[string]any `json:"outputSchema"`
	Annotations  mcpAnnotations `json:"annotations"`
}

type mcpAnnotations struct {
	ReadOnlyHint bool `json:"readOnlyHint"`
}

func one(format Format, tool *sandgatev1.Tool) (any, error) {
	if err := checkName(tool.GetName()); err != nil {
		return nil, err
	}
	schema, rules, err := input(tool.GetInputSchema())
	if err != nil {
		return nil, err
	}
	text := describe(tool.GetDescription(), rules, 0)
	short := function{
		Name: tool.GetName(), Description: describe(tool.GetDescription(), rules, maxDescription), Parameters: schema,
	}
	switch format {
	case OpenAI:
		return chatTool{Type: "function", Function: short}, nil
	case OpenAIResponses:
		short.Type = "function"
		return short, nil
	case Anthropic:
		return anthropicTool{Name: tool.GetName(), Description: text, InputSchema: schema}, nil
	default:
		return mcpTool{
			Name: tool.GetName(), Description: text, InputSchema: schema, OutputSchema: tool.GetOutputSchema().AsMap(),
			Annotations: mcpAnnotations{ReadOnlyHint: !tool.GetSideEffects()},
		}, nil
	}
}

func checkName(name string) error {
	fits := name != "" && len(name) <= maxName
	for _, r := range []byte(name) {
		fits = fits && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}
	if !fits {
		return fmt.Errorf("a name must be 1 to %d letters, digits, _ and -", maxName)
	}
	return nil
}
