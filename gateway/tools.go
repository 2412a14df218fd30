package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/catalog"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/journal"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// tools serves ToolService out of a registry.
type tools struct {
	registry *Registry
	journal  *journal.Journal // nil: calls that carry a call_id are refused
}

// progressFunc gets what happens during a call. The sequence is zero where the call has no call_id.
type progressFunc func(sequence int64, event *structpb.Struct) error

// made is a call that may be made: it names a tool, which the caller may call, and fits it.
type made struct {
	request *sandgatev1.CallToolRequest
	tool    *catalog.Tool
	target  *rpc
	message proto.Message
	ticket  *ticket
}

func registerTools(r *Registry) {
	t := &tools{registry: r}
	r.tools = t
	Unary(r, sandgatev1connect.ToolServiceListToolsProcedure, t.list)
	Unary(r, sandgatev1connect.ToolServiceCallToolProcedure, t.call)
	Stream(r, sandgatev1connect.ToolServiceStreamToolProcedure, t.stream)
}

// list returns the tools whose RPCs are served and allowed.
func (t *tools) list(ctx context.Context, _ *sandgatev1.ListToolsRequest) (*sandgatev1.ListToolsResponse, error) {
	caller := principalOf(ctx)
	out := &sandgatev1.ListToolsResponse{}
	for _, tool := range t.registry.offered() {
		if t.registry.access.checkTool(caller, tool) == nil {
			out.Tools = append(out.Tools, tool.Proto)
		}
	}
	return out, nil
}

func (t *tools) call(ctx context.Context, req *sandgatev1.CallToolRequest) (*sandgatev1.CallToolResponse, error) {
	return t.run(ctx, req, nil)
}

func (t *tools) stream(ctx context.Context, req *sandgatev1.StreamToolRequest, send func(*sandgatev1.StreamToolResponse) error) error {
	callFrom(ctx).noteSession(req.GetCall().GetSessionId())
	last := int64(0)
	res, err := t.run(ctx, req.GetCall(), func(sequence int64, event *structpb.Struct) error {
		last = sequence
		return send(&sandgatev1.StreamToolResponse{Event: &sandgatev1.StreamToolResponse_Progress{Progress: event}, Sequence: sequence})
	})
	if err != nil {
		return err
	}
	if req.GetCall().GetCallId() != "" {
		last++
	}
	return send(&sandgatev1.StreamToolResponse{Event: &sandgatev1.StreamToolResponse_Result{Result: res}, Sequence: last})
}

// run makes one call of a tool, at most once where it carries a call_id. progress, where it is not
// nil, gets every event but the last one.
func (t *tools) run(ctx context.Context, req *sandgatev1.CallToolRequest, progress progressFunc) (*sandgatev1.CallToolResponse, error) {
	tool, target, err := t.target(principalOf(ctx), req)
	if err != nil {
		return nil, err
	}
	callFrom(ctx).noteTool(tool.Proto.GetName(), sandgatev1.Status_STATUS_UNSPECIFIED)
	callFrom(ctx).noteCallID(req.GetCallId())
	message, err := decodeArguments(tool, target, req)
	if err != nil {
		return nil, err
	}
	ticket, err := t.registry.gate.enter(ctx, callFrom(ctx).payer(), target.kind())
	if err != nil && !t.knows(ctx, req) { // what was made before costs nothing but its reply
		return nil, err
	}
	if err := callFrom(ctx).payer().checkOutput(); err != nil {
		ticket.leave()
		return nil, err
	}
	do := t.directly
	if req.GetCallId() != "" {
		do = t.once
	}
	res, err := do(ctx, &made{request: req, tool: tool, target: target, message: message, ticket: ticket}, progress)
	if err != nil {
		return nil, err
	}
	callFrom(ctx).noteTool(tool.Proto.GetName(), res.GetStatus())
	return res, nil
}

// directly makes a call that ends when its caller leaves.
func (t *tools) directly(ctx context.Context, made *made, progress progressFunc) (*sandgatev1.CallToolResponse, error) {
	defer made.ticket.leave()
	return t.make(made.ticket.bind(ctx), made, progress)
}

// make makes a call.
func (t *tools) make(ctx context.Context, made *made, progress progressFunc) (*sandgatev1.CallToolResponse, error) {
	outcome := &outcome{streaming: made.target.last != nil, renderer: t.renderer(made.tool), progress: progress}
	start := time.Now()
	if durable := sandbox.DurableFrom(ctx); durable != nil {
		start = durable.Began()
	}
	if err := made.target.invoke(ctx, made.message, outcome.add); err != nil {
		return nil, whyEnded(ctx, err)
	}
	res, err := outcome.response(time.Since(start))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", made.tool.Proto.GetName(), err)
	}
	return res, nil
}

// target finds the tool that a call names.
func (t *tools) target(caller *identity.Principal, req *sandgatev1.CallToolRequest) (*catalog.Tool, *rpc, error) {
	if tool, target := t.registry.tool(req.GetName()); tool != nil {
		return tool, target, t.registry.access.checkTool(caller, tool)
	}
	var names []string
	for _, known := range t.registry.offered() {
		if t.registry.access.checkTool(caller, known) == nil {
			names = append(names, known.Proto.GetName())
		}
	}
	return nil, nil, Errorf(connect.CodeNotFound, ReasonToolNotFound,
		"The tools are: "+strings.Join(names, ", ")+".", "there is no tool %q", req.GetName())
}

func (t *tools) renderer(tool *catalog.Tool) Renderer {
	if newRenderer := t.registry.renderers[tool.Proto.GetName()]; newRenderer != nil {
		return newRenderer()
	}
	return &jsonRenderer{}
}

// outcome gathers what a call produces.
type outcome struct {
	streaming bool
	renderer  Renderer
	progress  progressFunc
	reply     proto.Message // the typed reply, nil until it came
}

// add takes the next message of the RPC.
func (o *outcome) add(message proto.Message) error {
	if o.reply != nil {
		return errors.New("a message came after the result")
	}
	o.renderer.Add(message)
	if !o.streaming {
		o.reply = message
		return nil
	}
	reflected := message.ProtoReflect()
	if field := reflected.Descriptor().Fields().ByName(catalog.ResultField); reflected.Has(field) {
		o.reply = reflected.Get(field).Message().Interface()
		return nil
	}
	if o.progress != nil {
		event, err := structOf(message)
		if err != nil {
			return err
		}
		return o.progress(0, event)
	}
	return nil
}

// response makes the reply of the call. Status and receipt come from the typed reply where it has
// them; a reply without them is the reply of work that succeeded.
func (o *outcome) response(wall time.Duration) (*sandgatev1.CallToolResponse, error) {
	if o.reply == nil {
		return nil, errors.New("it ended without a result")
	}
	if ready, ok := o.reply.(*sandgatev1.CallToolResponse); ok { // of an operator's tool
		return ready, nil
	}
	result, err := structOf(o.reply)
	if err != nil {
		return nil, err
	}
	res := &sandgatev1.CallToolResponse{
		Content: o.renderer.Content(),
		Result:  result,
		Status:  sandgatev1.Status_STATUS_OK,
		Receipt: &sandgatev1.Receipt{Wall: durationpb.New(wall)},
	}
	reflected := o.reply.ProtoReflect()
	fields := reflected.Descriptor().Fields()
	if field := fields.ByName("status"); field != nil && isStatus(field) {
		res.Status = sandgatev1.Status(reflected.Get(field).Enum())
	}
	if field := fields.ByName("receipt"); field != nil && reflected.Has(field) {
		if receipt, ok := reflected.Get(field).Message().Interface().(*sandgatev1.Receipt); ok {
			res.Receipt = receipt
		}
	}
	return res, nil
}

// statusOf returns the status of a reply, STATUS_UNSPECIFIED where it has none.
func statusOf(reply protoreflect.Message) sandgatev1.Status {
	if field := reply.Descriptor().Fields().ByName("status"); field != nil && isStatus(field) {
		return sandgatev1.Status(reply.Get(field).Enum())
	}
	return sandgatev1.Status_STATUS_UNSPECIFIED
}

func isStatus(field protoreflect.FieldDescriptor) bool {
	return field.Kind() == protoreflect.EnumKind && !field.IsList() &&
		field.Enum().FullName() == sandgatev1.Status_STATUS_OK.Descriptor().FullName()
}
