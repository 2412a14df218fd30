package mcp

import (
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// listFresh is how long a client may keep the list of tools, in milliseconds.
const listFresh = 60_000

// list returns the tools that the caller may call, on one page.
func (f *Facade) list(ctx context.Context, req *sdk.ListToolsRequest) (*sdk.ListToolsResult, error) {
	if req.Params != nil && req.Params.Cursor != "" {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "unknown cursor: there is one page of tools"}
	}
	res, err := f.opts.Tools.ListTools(onBehalf(ctx, req.Extra), &sandgatev1.ListToolsRequest{})
	if err != nil {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: f.problem(err)}
	}
	out := &sdk.ListToolsResult{
		Tools: make([]*sdk.Tool, 0, len(res.GetTools())+2),
		// Which tools there are may depend on who asks.
		Cacheable: sdk.Cacheable{TTLMs: listFresh, CacheScope: "private"},
	}
	named := sessionFrom(ctx) == nil
	for _, tool := range res.GetTools() {
		out.Tools = append(out.Tools, toolOf(tool, named))
	}
	if named {
		out.Tools = append(out.Tools, f.sessionTools()...)
	}
	return out, nil
}

// toolOf returns a tool as the protocol has it. Where sessions are named, its arguments get one more.
func toolOf(tool *sandgatev1.Tool, named bool) *sdk.Tool {
	input := schemaOf(tool.GetInputSchema())
	if named {
		addSession(input)
	}
	return &sdk.Tool{
		Name:         tool.GetName(),
		Title:        titleOf(tool.GetName()),
		Description:  tool.GetDescription(),
		InputSchema:  input,
		OutputSchema: schemaOf(tool.GetOutputSchema()),
		// The other hints stay at what the protocol assumes of a tool that says nothing.
		Annotations: &sdk.ToolAnnotations{ReadOnlyHint: !tool.GetSideEffects()},
	}
}

// schemaOf returns a schema without its `$schema`: draft 2020-12 is what the protocol assumes, and
// clients whose validator knows an older one refuse the whole list over the name of this.
func schemaOf(schema *structpb.Struct) map[string]any {
	out := schema.AsMap()
	delete(out, "$schema")
	return out
}

// titleOf makes `file_make_dir` into "File make dir".
func titleOf(name string) string {
	words := strings.ReplaceAll(name, "_", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// onBehalf returns a context for one call of the API that a request asks for: made by the same
// principal, and logged under the same name.
func onBehalf(ctx context.Context, extra *sdk.RequestExtra) context.Context {
	if extra == nil { // it did not come over HTTP
		return outgoing(ctx, "", "")
	}
	return outgoing(ctx, extra.Header.Get("Authorization"), extra.Header.Get(gateway.RequestIDHeader))
}
