package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxText bounds an error's text in a log line or a reply, as some quote what they were given.
const maxText = 4 << 10

// summary is what the log line and the metrics say of a call besides the call itself.
type summary struct {
	code    string
	wall    time.Duration
	in, out int64
	hash    string // of the request; empty: the call is not audited
}

// record writes the one log line of a call and counts it. Code, commands and file content never
// get here.
func (s *Server) record(ctx context.Context, c *call, sum summary) {
	s.auditCall(c, sum)
	c.mu.Lock()
	session, tool, status, err, callID := c.session, c.tool, c.status, c.err, c.callID
	c.mu.Unlock()
	if callID == "" {
		s.note(c.principal.Tenant, sum, store.Call{SessionID: session, Tool: cmp.Or(tool, s.access.rules[c.procedure].tool), Status: int32(status)})
	}
	s.metrics.call(c.procedure, tool, sum)
	s.metrics.failed(err)
	traceID := endSpan(ctx, sum, session, tool, status)
	if sum.code != "ok" && !s.lines.allow(kind{sum.code, c.procedure, c.principal.ID}) {
		return
	}
	level := slog.LevelInfo
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs, slog.String("id", c.id), slog.String("procedure", c.procedure), slog.String("code", sum.code),
		slog.Duration("wall", sum.wall), slog.Int64("bytes_in", sum.in), slog.Int64("bytes_out", sum.out))
	if c.principal.ID != "" {
		attrs = append(attrs, slog.String("tenant", c.principal.Tenant), slog.String("key", c.principal.ID))
	}
	if session != "" {
		attrs = append(attrs, slog.String("session", shown(session)))
	}
	if tool != "" {
		attrs = append(attrs, slog.String("tool", tool), slog.String("status", status.String()))
	}
	if traceID != "" {
		attrs = append(attrs, slog.String("trace_id", traceID))
	}
	if sum.code == connect.CodeInternal.String() || sum.code == connect.CodeUnknown.String() {
		level = slog.LevelError
		if err != nil {
			attrs = append(attrs, slog.String("err", cut(causeOf(err).Error())))
		}
		if panicked, ok := errors.AsType[*panicError](err); ok {
			attrs = append(attrs, slog.String("stack", string(panicked.stack)))
		}
	}
	s.log.LogAttrs(ctx, level, "call", attrs...)
}

// note gives the journal a tool call that has ended.
func (s *Server) note(tenant string, sum summary, row store.Call) {
	if s.opts.Journal == nil || row.Tool == "" || row.SessionID == "" {
		return
	}
	row.Tenant, row.SessionID, row.EndedAt = tenant, cut(row.SessionID), time.Now()
	row.CreatedAt = row.EndedAt.Add(-sum.wall)
	if sum.code != "ok" {
		if text, err := protojson.Marshal(&sandgatev1.CallError{Code: sum.code}); err == nil {
			row.Error = string(text)
		}
	}
	s.opts.Journal.Note(row)
}

// cut bounds a text of somebody else's making.
func cut(text string) string {
	if len(text) > maxText {
		return strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
