package gateway

import (
	"crypto/rand"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/identity"
)

// RequestIDHeader carries the name of a call, the caller's if it is fit, in both directions.
const RequestIDHeader = "Sandgate-Request-Id"

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
		if !completed && !c.wasCut() {
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
