package gateway

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// Bounds of taking calls up.
const (
	// maxRequest bounds the request that is written down with a call. A longer one would cost each such
	// call more than the death of a gateway does.
	maxRequest = 1 << 20
	// settleTimeout bounds having a guest forget what it keeps of a call.
	settleTimeout = 2 * time.Second
)

// Resumable says that calls of a tool that carry a call_id may be taken up by the gateway after this one:
// all that the tool does, it does by requests to the session's guest, so that nothing is done again when
// its handler runs again and gets the answers to those.
func (r *Registry) Resumable(tool string) {
	if r.catalog != nil && r.catalog.Tool(tool) == nil {
		r.errs = append(r.errs, fmt.Errorf("there is no tool %q to resume", tool))
		return
	}
	r.resumable[tool] = true
}

// RecoverCalls takes up the calls that ran when the gateway before died and whose sandboxes live. The
// others are lost. It is called once, when the sessions have been recovered and before the first call. It
// is the server's, not the registry's: the calls go on at once, and are charged and audited as the server says.
func (s *Server) RecoverCalls(ctx context.Context) error {
	tools := s.opts.Registry.tools
	if tools.journal == nil {
		return nil
	}
	return tools.journal.Recover(ctx, tools.resume)
}

// bodyOf returns what is written down of a call for the gateway after this one, nothing where that
// could not take it up.
func (t *tools) bodyOf(made *made) []byte {
	if !t.registry.resumable[made.tool.Proto.GetName()] || proto.Size(made.request) > maxRequest {
		return nil
	}
	body, err := proto.Marshal(made.request)
	if err != nil {
		return nil // it was decoded a moment ago, so it marshals
	}
	return body
}

// resume returns what takes a call up that another gateway has made, nil where nothing does. The
// caller's rights were looked at when it was made.
func (t *tools) resume(row store.Call) journal.Run {
	request := new(sandgatev1.CallToolRequest)
	if len(row.Request) == 0 || proto.Unmarshal(row.Request, request) != nil || !t.registry.resumable[request.GetName()] {
		return nil
	}
	inner := &call{
		id: row.ID, procedure: sandgatev1connect.ToolServiceCallToolProcedure,
		principal: &identity.Principal{Tenant: row.Tenant, Session: row.SessionID},
	}
	tool, target, err := t.target(inner.principal, request)
	if err != nil {
		return nil
	}
	message, err := decodeArguments(tool, target, request)
	if err != nil {
		return nil
	}
	again := &made{request: request, tool: tool, target: target, message: message}
	return func(ctx context.Context, row store.Call, emit func(int64, *structpb.Struct)) journal.Outcome {
		inner.bill, inner.audit = t.registry.gate.billOf(inner.principal), t.registry.auditor
		again.ticket = &ticket{bill: inner.bill, kind: quota.Run} // it has no place, as it runs already
		return t.work(withCall(ctx, inner), again, sandbox.ResumeDurable(row.ID, row.CreatedAt), emit)
	}
}

// work makes a call that is written down, or takes it up. Without durable nobody can take it up later.
func (t *tools) work(ctx context.Context, made *made, durable *sandbox.Durable, emit func(int64, *structpb.Struct)) journal.Outcome {
	c := callFrom(ctx)
	defer c.end()
	defer made.ticket.leave()
	res, err := t.make(sandbox.WithDurable(made.ticket.bind(ctx), durable), made, func(_ int64, event *structpb.Struct) error {
		emit(durable.Missed(), event)
		return nil
	})
	c.auditRun(made, res, err)
	settle := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		durable.Settle(ctx)
	}
	switch {
	case durable.Lost():
		return journal.Outcome{Lost: true}
	case err != nil:
		return journal.Outcome{Failure: failureOf(err), Kept: settle}
	default:
		c.bill.keep(res)
		return journal.Outcome{Result: res, Kept: settle}
	}
}
