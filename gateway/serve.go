package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// RequestIDHeader carries the name of a call, the caller's if it is fit, in both directions.
const RequestIDHeader = "Sandgate-Request-Id"

// maxText bounds an error's text in a log line or a reply, as some quote what they were given.
const maxText = 4 << 10

// ServeHTTP serves one request: the doors first, then the pages that are only read, then RPCs.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limitRequest(w, r)
	if err := s.doors.check(r, s.opts.Authenticator.Open()); err != nil {
		s.auditRefusal(r, nil, err)
		s.refuse(w, r, err)
		return
	}
	switch r.URL.Path {
	case "/livez":
		s.page(w, r, http.HandlerFunc(livez))
		return
	case "/readyz":
		s.page(w, r, s.ready)
		return
	case openAPIPath:
		s.page(w, r, s.openAPI)
		return
	case metricsPath:
		// Whoever must show a key elsewhere learns nothing here.
		if !s.opts.MetricsApart && s.opts.Authenticator.Open() {
			s.page(w, r, s.metrics.page)
			return
		}
	}
	if target := s.mountOf(r.URL.Path); target != nil {
		s.visit(w, r, target)
		return
	}
	target := s.routes[r.URL.Path]
	principal, err := s.whoMay(w, r, target)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if wrong := misfitOf(r, target); wrong != nil {
		if target != nil { // counted as the caller's fault, whatever code its status stands for
			s.metrics.call(target.procedure, "", summary{code: connect.CodeUnimplemented.String()})
		}
		s.refuseMisfit(w, r, wrong)
		return
	}
	if err := s.auditable(target); err != nil {
		s.refuse(w, r, err)
		return
	}
	enter, leave := func() error { return s.admission.enter(principal.Tenant) }, func() { s.admission.leave(principal.Tenant) }
	if target.public {
		enter, leave = s.admission.probe, s.admission.probed
	}
	if err := enter(); err != nil {
		s.refuse(w, r, err)
		return
	}
	defer leave()
	s.serve(w, r, target, principal)
}

// whoMay returns who sends a request, if they may make the call that it is for. Whoever is not let in
// learns nothing, not even what there is; only the health service is for everybody.
func (s *Server) whoMay(w http.ResponseWriter, r *http.Request, target *route) (*identity.Principal, error) {
	if target != nil && target.public {
		return &identity.Principal{}, nil
	}
	principal, err := s.authenticate(w.Header(), r)
	if err != nil || target == nil {
		return principal, err
	}
	if err = s.access.check(principal, target.procedure); err != nil {
		s.auditRefusal(r, principal, err)
	}
	return principal, err
}

// page serves a page that is read and never written.
func (s *Server) page(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	handler.ServeHTTP(w, r)
}

// refuse answers a request that is not let in.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.metrics.refused(err)
	s.answerError(w, r, err)
}

// answerError answers a request with an error, in the protocol that it speaks.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	if writeErr := s.errors.Write(w, r, err); writeErr != nil {
		s.log.DebugContext(r.Context(), "an error could not be sent", "err", writeErr)
	}
}

// serve runs one RPC that was let in.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, target *route, principal *identity.Principal) {
	start := time.Now()
	c := &call{id: requestID(r.Header), procedure: target.procedure, principal: principal, audit: s.opts.Audit}
	w.Header().Set(RequestIDHeader, c.id)
	c.bill = s.gate.billOf(principal)
	c.bill.writeHeaders(w.Header())
	reply := newReplyWriter(w, r, c)
	reply.held = s.replies
	body := newBody(w, r, target.streams)
	reply.begin(body)
	defer body.stop()
	waiting, patient := patience(r.Context(), r.Header)
	ticket, refused := s.gate.enter(waiting, c.bill, target.kind)
	patient()
	defer ticket.leave()
	if target.audited {
		body.hash(r)
	}
	if refused == nil {
		refused = body.charge(s.held, r)
	}
	if body.packed {
		c.decoded = body.decoded
	}
	inner := r.WithContext(withCall(ticket.bind(s.startSpan(r, target.procedure)), c))
	inner.Body = body
	completed := false
	defer func() {
		c.end()
		reply.finish()
		if !completed {
			// The protocol layer itself panicked. The HTTP server recovers from that and drops the
			// connection, as nothing is known of the reply's state.
			c.noteError(&panicError{value: "in the protocol layer", stack: debug.Stack()})
		}
		code := replyCode(c, reply)
		if s.routes[c.procedure] == target { // a mount has protocols of its own
			code = blame(r.Context(), c, code)
		}
		s.record(inner.Context(), c, summary{
			code: code, wall: time.Since(start), in: body.count, out: reply.count, hash: body.sum(),
		})
	}()
	if refused != nil {
		s.refuse(reply, inner, refused)
	} else {
		target.handler.ServeHTTP(reply, inner)
	}
	completed = true
}

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

// replyCode tells how a call ended. Errors that the protocol layer raises before any handler runs,
// such as a request that does not decode, are seen only in the reply.
func replyCode(c *call, reply *replyWriter) string {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return connect.CodeOf(wireError(err)).String()
	}
	for _, name := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if text := reply.Header().Get(name); text != "" && text != "0" {
			number, err := strconv.ParseUint(text, 10, 8)
			if err != nil {
				return connect.CodeUnknown.String()
			}
			return connect.Code(number).String()
		}
	}
	switch reply.status {
	case 0, http.StatusOK, http.StatusAccepted, http.StatusNoContent, http.StatusNotModified:
		return "ok"
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated.String()
	case http.StatusForbidden:
		return connect.CodePermissionDenied.String()
	case http.StatusServiceUnavailable:
		return connect.CodeUnavailable.String()
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge:
		return connect.CodeInvalidArgument.String()
	case http.StatusTooManyRequests:
		return connect.CodeResourceExhausted.String()
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded.String()
	case 499:
		return connect.CodeCanceled.String()
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return connect.CodeUnimplemented.String()
	default:
		return connect.CodeUnknown.String()
	}
}

// requestID returns the caller's name for a call if it is a short plain word, a new one otherwise.
func requestID(header http.Header) string {
	const most = 64
	id := header.Get(RequestIDHeader)
	if id == "" || len(id) > most {
		return rand.Text()
	}
	for _, r := range []byte(id) {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
		if !plain {
			return rand.Text()
		}
	}
	return id
}

// cut bounds a text of somebody else's making.
func cut(text string) string {
	if len(text) > maxText {
		return strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// streamErrors notes the errors of streams that the protocol layer raises around the handler.
type streamErrors struct{}

// WrapUnary changes nothing.
func (streamErrors) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

// WrapStreamingClient changes nothing.
func (streamErrors) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler notes the error of a stream unless the handler has noted its own.
func (streamErrors) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, conn)
		if c := callFrom(ctx); err != nil && c != nil {
			c.mu.Lock()
			if c.err == nil {
				c.err = err
			}
			c.mu.Unlock()
		}
		return err
	}
}
