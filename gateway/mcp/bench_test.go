package mcp

import (
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// BenchmarkCall calls a tool that does nothing, over MCP and, as the floor, over the API that MCP is a
// client of.
func BenchmarkCall(b *testing.B) {
	g := newRig(b, nil)
	b.Run("mcp", func(b *testing.B) {
		c := g.connect(b, legacy, nil, "")
		c.python(b, "nothing")
		for b.Loop() {
			if _, err := c.CallTool(b.Context(), &sdk.CallToolParams{Name: "python_run", Arguments: map[string]any{"code": "nothing"}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("api", func(b *testing.B) {
		made, err := g.facade.opts.Sessions.CreateSession(b.Context(), &sandgatev1.CreateSessionRequest{})
		if err != nil {
			b.Fatal(err)
		}
		arguments, err := structpb.NewStruct(map[string]any{"code": "nothing"})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			req := &sandgatev1.CallToolRequest{SessionId: made.GetSession().GetId(), Name: "python_run", Arguments: arguments}
			if _, err := g.facade.opts.Tools.CallTool(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
}
