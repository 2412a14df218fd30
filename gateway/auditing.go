package gateway

import (
	"cmp"
	"context"
	"net"
	"net/http"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// ReasonAuditUnavailable is that of a call which was not made, as it could not be written down. It is
// part of the API.
const ReasonAuditUnavailable = "AUDIT_UNAVAILABLE"

// Auditor keeps a record of who did what. *audit.Log is one. Its methods may be called by any number
// of goroutines.
type Auditor interface {
	// Note has an event written down within a moment. It never waits.
	Note(event audit.Event)
	// Record returns nil once an event is durable.
	Record(ctx context.Context, event audit.Event) error
	// Refuse notes a request that was not let in. It waits for the first of those that are alike.
	Refuse(ctx context.Context, event audit.Event)
	// Err returns why nothing can be written down now.
	Err() error
}

// noAudit keeps nothing.
type noAudit struct{}

func (noAudit) Note(audit.Event)                          {}
func (noAudit) Record(context.Context, audit.Event) error { return nil }
func (noAudit) Refuse(context.Context, audit.Event)       {}
func (noAudit) Err() error                                { return nil }

// auditorOf returns what keeps the record of the call that ctx belongs to.
func auditorOf(ctx context.Context) Auditor {
	if c := callFrom(ctx); c != nil && c.audit != nil {
		return c.audit
	}
	return noAudit{}
}

// errUnaudited is what a call gets that cannot be written down.
func errUnaudited(cause error) error {
	return Error(connect.CodeUnavailable, ReasonAuditUnavailable, "Nothing was done. Try again in a few seconds; if that goes on, the operator looks at the disk of the gateway's state.",
		&hiddenError{text: "the gateway cannot write its audit log", cause: cause})
}

// auditable returns why a call must not be made now: what it would do could not be written down.
func (s *Server) auditable(target *route) error {
	if !target.changes {
		return nil
	}
	if err := s.opts.Audit.Err(); err != nil {
		return errUnaudited(err)
	}
	return nil
}

// auditCall writes down a call that has ended, if it is one of those that are.
func (s *Server) auditCall(c *call, sum summary) {
	if sum.hash == "" {
		return
	}
	c.mu.Lock()
	event := audit.Event{
		Kind: audit.Call, Tenant: c.principal.Tenant, Key: c.principal.ID, Session: shown(c.session),
		Procedure: c.procedure, Tool: cmp.Or(c.tool, s.access.rules[c.procedure].tool), CallID: c.callID, Request: c.id,
		Code: sum.code, Status: auditStatus(c.status), Bytes: sum.in, SHA256: sum.hash,
	}
	err := c.err
	c.mu.Unlock()
	if err != nil {
		event.Reason = detailReason(err)
	}
	s.opts.Audit.Note(event)
}

// auditRun writes down the work behind a call_id when it has ended, which its callers need not see.
func (c *call) auditRun(made *made, res *sandgatev1.CallToolResponse, err error) {
	if c.audit == nil {
		return
	}
	event := audit.Event{
		Kind: audit.CallRun, Tenant: c.principal.Tenant, Key: c.principal.ID, Session: shown(made.request.GetSessionId()),
		Tool: made.tool.Proto.GetName(), CallID: made.request.GetCallId(), Request: c.id, Code: "ok", Status: auditStatus(res.GetStatus()),
	}
	if err != nil {
		event.Code, event.Reason = connect.CodeOf(wireError(err)).String(), detailReason(err)
	}
	c.audit.Note(event)
}

// auditStatus returns how work ended, empty where that is not known.
func auditStatus(status sandgatev1.Status) string {
	if status == sandgatev1.Status_STATUS_UNSPECIFIED {
		return ""
	}
	return status.String()
}

// auditRefusal writes down that somebody was not let in: by the doors, for want of a key, or of a
// right. Other refusals say nothing of whoever asks.
func (s *Server) auditRefusal(r *http.Request, principal *identity.Principal, err error) {
	code := connect.CodeOf(err)
	if code != connect.CodeUnauthenticated && code != connect.CodePermissionDenied {
		return
	}
	event := audit.Event{Code: code.String(), Reason: detailReason(err), From: r.RemoteAddr}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		event.From = host
	}
	if principal != nil {
		event.Tenant, event.Key = principal.Tenant, principal.ID
	}
	if target := s.routes[r.URL.Path]; target != nil {
		event.Procedure = target.procedure
	} else if mounted := s.mountOf(r.URL.Path); mounted != nil {
		event.Procedure = mounted.procedure
	}
	s.opts.Audit.Refuse(r.Context(), event)
}

// note writes down what became of a session.
func (s *Sessions) note(kind audit.Kind, sess *session, key, reason string) {
	s.opts.Audit.Note(audit.Event{Kind: kind, Tenant: sess.tenant, Key: key, Session: shown(sess.id), Reason: reason})
}
