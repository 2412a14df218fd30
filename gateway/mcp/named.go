package mcp

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"connectrpc.com/connect"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Where the protocol has no sessions, the model carries one: it makes it with one tool, names it in
// every call of the others, and ends it with another. So says the protocol of state that must outlive
// a call (SEP-2567).
const (
	createTool  = "session_create"
	deleteTool  = "session_delete"
	sessionName = "session_id"
)

// templateKey is the key of the template that a URL asks for in a context.
type templateKey struct{}

func withTemplate(ctx context.Context, template string) context.Context {
	return context.WithValue(ctx, templateKey{}, template)
}

func templateFrom(ctx context.Context) string {
	template, _ := ctx.Value(templateKey{}).(string)
	return template
}

// sessionTools are the tools that the façade adds where sessions are named.
func (f *Facade) sessionTools() []*sdk.Tool {
	create := map[string]any{}
	if len(f.opts.Templates) > 0 {
		names := make([]any, 0, len(f.opts.Templates))
		for _, name := range f.opts.Templates {
			names = append(names, name)
		}
		create["template"] = map[string]any{"type": "string", "enum": names, "description": "What the sandbox is made from. Absent: what this server was set up with."}
	}
	made := map[string]any{
		sessionName: map[string]any{"type": "string", "description": "What to pass with the calls of other tools."},
		"template":  map[string]any{"type": "string", "description": "What the sandbox was made from."},
	}
	changes := false
	return []*sdk.Tool{
		{
			Name: createTool, Title: titleOf(createTool),
			Description: fmt.Sprintf("Makes a sandbox for the other tools to work in, and returns its session_id. Its variables, files and programs "+
				"stay from call to call, until it is deleted or nobody has used it for %v.", f.opts.Lease),
			InputSchema:  objectSchema(create),
			OutputSchema: objectSchema(made, sessionName),
			Annotations:  &sdk.ToolAnnotations{DestructiveHint: &changes},
		},
		{
			Name: deleteTool, Title: titleOf(deleteTool),
			Description:  "Ends a sandbox: whatever runs in it is killed, its variables and files are gone.",
			InputSchema:  objectSchema(map[string]any{sessionName: sessionSchema()}, sessionName),
			OutputSchema: objectSchema(nil),
			Annotations:  &sdk.ToolAnnotations{},
		},
	}
}

func objectSchema(properties map[string]any, required ...any) map[string]any {
	if properties == nil {
		properties = map[string]any{}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func sessionSchema() map[string]any {
	return map[string]any{"type": "string", "minLength": 1, "maxLength": 64, "description": "The sandbox, as " + createTool + " returned it."}
}

// addSession adds the session to the arguments that a schema has.
func addSession(schema map[string]any) {
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		properties = map[string]any{}
		schema["properties"] = properties
	}
	properties[sessionName] = sessionSchema()
	required, _ := schema["required"].([]any) // it may have none
	schema["required"] = append([]any{sessionName}, required...)
}

// callNamed makes a call that names its session.
func (f *Facade) callNamed(ctx context.Context, req *sdk.CallToolRequest, arguments *structpb.Struct) (*sdk.CallToolResult, error) {
	if req.Params.Name == createTool {
		return f.create(ctx, req, arguments)
	}
	id := arguments.GetFields()[sessionName].GetStringValue()
	delete(arguments.GetFields(), sessionName)
	if id == "" {
		return f.failed(gateway.Errorf(connect.CodeInvalidArgument, gateway.ReasonInvalidArgument,
			"Call "+createTool+" once, and pass the "+sessionName+" that it returns.", "%s: is required", sessionName), ""), nil
	}
	if req.Params.Name == deleteTool {
		return f.delete(ctx, req, id, arguments)
	}
	res, err := f.run(ctx, req, id, arguments)
	switch {
	case err == nil:
		return resultOf(res), nil
	case isLost(err):
		return f.unable(ctx, req, err, "Its variables, files and programs are gone. This call was not made. Call "+createTool+" for a new session.")
	default:
		return f.unable(ctx, req, err, "")
	}
}

// create makes a session.
func (f *Facade) create(ctx context.Context, req *sdk.CallToolRequest, arguments *structpb.Struct) (*sdk.CallToolResult, error) {
	if err := onlyThese(createTool, arguments, "template"); err != nil {
		return f.failed(err, ""), nil
	}
	template := templateFrom(ctx)
	if asked := arguments.GetFields()["template"].GetStringValue(); asked != "" {
		template = asked
	}
	res, err := f.opts.Sessions.CreateSession(onBehalf(ctx, req.Extra), f.wish(template))
	if err != nil {
		return f.unable(ctx, req, err, "")
	}
	id, template := res.GetSession().GetId(), res.GetSession().GetTemplate()
	return &sdk.CallToolResult{
		Content: []sdk.Content{&sdk.TextContent{Text: fmt.Sprintf(
			"%s: %s\nPass it with every call. The sandbox (template %s) ends when nobody has used it for %v; end it yourself with %s.",
			sessionName, id, template, f.opts.Lease, deleteTool)}},
		StructuredContent: map[string]any{sessionName: id, "template": template},
	}, nil
}

// delete ends a session.
func (f *Facade) delete(ctx context.Context, req *sdk.CallToolRequest, id string, arguments *structpb.Struct) (*sdk.CallToolResult, error) {
	if err := onlyThese(deleteTool, arguments); err != nil {
		return f.failed(err, ""), nil
	}
	if _, err := f.opts.Sessions.DeleteSession(onBehalf(ctx, req.Extra), &sandgatev1.DeleteSessionRequest{SessionId: id}); err != nil {
		return f.unable(ctx, req, err, "")
	}
	return &sdk.CallToolResult{
		Content:           []sdk.Content{&sdk.TextContent{Text: "The session is gone, with its variables, files and programs."}},
		StructuredContent: map[string]any{},
	}, nil
}

// onlyThese refuses arguments that a tool does not have, and those that are no texts.
func onlyThese(tool string, arguments *structpb.Struct, names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(arguments.GetFields())) {
		_, isText := arguments.GetFields()[name].GetKind().(*structpb.Value_StringValue)
		if !slices.Contains(names, name) || !isText {
			return gateway.Errorf(connect.CodeInvalidArgument, gateway.ReasonInvalidArgument,
				"Call "+tool+" with the arguments of its schema.", "arguments: %q is unknown or no text", name)
		}
	}
	return nil
}
