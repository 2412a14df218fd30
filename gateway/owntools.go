package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/gateway/catalog"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// OwnTools are an operator's own tools, which come and go while the gateway serves. Its methods may be called by any
// number of goroutines; what they return is not changed.
type OwnTools interface {
	// Tools returns those that there are now, sorted by name.
	Tools() []*sandgatev1.Tool
	// Tool returns the one of a name, nil for none.
	Tool(name string) *sandgatev1.Tool
	// Call makes a call of one: it checks the arguments, and finds the session where there is need of one. Its error
	// should be a *connect.Error, the text of any other is hidden from the caller.
	Call(ctx context.Context, req *sandgatev1.CallToolRequest) (*sandgatev1.CallToolResponse, error)
}

// ownPrefix begins what stands for the procedure of a tool that has none.
const ownPrefix = "/own/"

// ownTools are the operator's tools of a registry. Without a set there are none.
type ownTools struct {
	set  OwnTools
	rpcs sync.Map // of *rpc by name: what counts the calls of a tool stays when its program is replaced
}

// RegisterOwnTools adds the operator's own tools to a registry. Those of the API come first: one with a name of theirs
// is neither listed nor called.
func RegisterOwnTools(r *Registry, set OwnTools) { r.own.set = set }

// offered returns the tools that are served, sorted by name.
func (r *Registry) offered() []*catalog.Tool {
	out := make([]*catalog.Tool, 0, len(r.catalog.Tools()))
	for _, tool := range r.catalog.Tools() {
		if r.rpcs[tool.Proto.GetProcedure()] != nil {
			out = append(out, tool)
		}
	}
	if r.own.set == nil {
		return out
	}
	for _, tool := range r.own.set.Tools() {
		if r.catalog.Tool(tool.GetName()) == nil {
			out = append(out, ownTool(tool))
		}
	}
	slices.SortFunc(out, func(a, b *catalog.Tool) int { return strings.Compare(a.Proto.GetName(), b.Proto.GetName()) })
	return out
}

// tool returns the tool of a name and what serves it, nil for none.
func (r *Registry) tool(name string) (*catalog.Tool, *rpc) {
	if tool := r.catalog.Tool(name); tool != nil {
		if target := r.rpcs[tool.Proto.GetProcedure()]; target != nil {
			return tool, target
		}
		return nil, nil
	}
	if r.own.set == nil {
		return nil, nil
	}
	tool := r.own.set.Tool(name)
	if tool == nil {
		return nil, nil
	}
	target, ok := r.own.rpcs.Load(name)
	if !ok {
		target, _ = r.own.rpcs.LoadOrStore(name, r.newOwnRPC(name))
	}
	served, ok := target.(*rpc)
	if !ok {
		return nil, nil
	}
	return ownTool(tool), served
}

// ownTool returns an operator's tool as one of the catalogue.
func ownTool(tool *sandgatev1.Tool) *catalog.Tool {
	arguments := make([]string, 0, len(tool.GetInputSchema().GetFields()))
	for name := range tool.GetInputSchema().GetFields()["properties"].GetStructValue().GetFields() {
		arguments = append(arguments, name)
	}
	slices.Sort(arguments)
	return &catalog.Tool{Proto: tool, Arguments: arguments}
}

// newOwnRPC makes what serves an operator's tool as an RPC serves one of the API's.
func (r *Registry) newOwnRPC(name string) *rpc {
	e := &rpc{procedure: ownPrefix + name, tool: name, works: true, own: true}
	e.newRequest = func() proto.Message { return &sandgatev1.CallToolRequest{} }
	e.invoke = func(ctx context.Context, message proto.Message, emit func(proto.Message) error) (err error) {
		defer r.traffic.begin(ctx, e)(&err)
		defer recoverTo(&err)
		req, ok := message.(*sandgatev1.CallToolRequest)
		if !ok {
			return fmt.Errorf("%s was given a %T", name, message)
		}
		if !principalOf(ctx).Sees(req.GetSessionId()) { // whether or not the tool has any use for it
			return Errorf(connect.CodePermissionDenied, ReasonSessionBound, "Name the session that your token is for.", "this token is for another session")
		}
		res, err := r.own.set.Call(ctx, req)
		if err == nil && res == nil {
			err = errors.New("the tool returned neither a reply nor an error")
		}
		if err != nil {
			return err
		}
		return emit(res)
	}
	return e
}

// checkTool returns why somebody may not call a tool.
func (a access) checkTool(p *identity.Principal, tool *catalog.Tool) error {
	if procedure := tool.Proto.GetProcedure(); procedure != "" {
		return a.check(p, procedure)
	}
	return rule{scopes: tool.Proto.GetScopes(), tool: tool.Proto.GetName(), changes: tool.Proto.GetSideEffects()}.check(p)
}

// kind tells which places calls of the RPC need. An operator's tool runs in the gateway's own memory, as what reads
// documents does.
func (e *rpc) kind() quota.Kind {
	if e.own {
		return quota.Documents
	}
	return kindOf(e.procedure)
}
