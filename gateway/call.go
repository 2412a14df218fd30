package gateway

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// sessionShown is how much of a session's id the log gets. Whoever holds the whole id can use the
// session, so the log must not hold it; what is left out has 90 bits.
const sessionShown = len(sessionPrefix) + 8

// call is what the gateway knows of one RPC while it is served. It is made by the HTTP layer,
// filled by whoever learns something, and read for the log line at the end. A nil call takes
// everything and keeps nothing.
type call struct {
	id        string // the request id
	procedure string
	principal *identity.Principal
	bill      bill           // who pays
	audit     Auditor        // nil: nothing is kept
	decoded   func(size int) // is told the request's size where that is not the body's; nil: it is
	last      atomic.Bool    // nothing but the end of the stream comes after what is being sent

	mu      sync.Mutex
	callID  string            // the caller's own, empty for none; guarded by mu
	session string            // as the request names it; guarded by mu
	tool    string            // guarded by mu
	status  sandgatev1.Status // of the tool's work; guarded by mu
	err     error             // guarded by mu
	cut     bool              // the reply was cut off on purpose; guarded by mu
	// received tells that a message of the request was whole and made sense, broken that a later one was
	// not. Guarded by mu.
	received, broken bool
	release          func() // gives the session's lease back; guarded by mu
	ended            bool   // guarded by mu
}

// callKey is the key of the call in a context.
type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callFrom returns the call that ctx belongs to, nil for none.
func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

func (c *call) noteSession(id string) {
	if c == nil || id == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = id
}

// noteRequest is told the request when it has been decoded.
func (c *call) noteRequest(message proto.Message) {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.received = true
	c.mu.Unlock()
	if c.decoded != nil {
		c.decoded(proto.Size(message))
	}
}

// noteBroken is told that a stream of requests could not be read on.
func (c *call) noteBroken() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
}

func (c *call) noteTool(name string, status sandgatev1.Status) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tool, c.status = name, status
}

// noteCallID notes that the call is kept by its caller's own name.
func (c *call) noteCallID(id string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callID = id
}

// noteLast says that the next message is the last one, so that it need not be flushed on its own:
// one write to the network less on the way of every streamed result.
func (c *call) noteLast() {
	if c != nil {
		c.last.Store(true)
	}
}

// noteStatus notes how the work of a tool ended that was called as an RPC of its own.
func (c *call) noteStatus(status sandgatev1.Status) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

func (c *call) noteError(err error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// noteCut notes why the reply is about to be cut off.
func (c *call) noteCut(err error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.cut = err, true
}

// wasCut tells whether the reply was cut off on purpose.
func (c *call) wasCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// hold keeps the lease of a session from running out until the call ends. A call works in one
// session, so the first one held is the only one.
func (c *call) hold(s *Sessions, sess *session) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.release != nil || c.ended {
		return
	}
	sess.active.Add(1)
	sess.calls.Add(1)
	sess.used.Add(1)
	c.release = func() {
		s.renew(sess)
		sess.used.Add(1)
		sess.active.Add(-1)
	}
}

// end releases what the call holds.
func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.release != nil {
		c.release()
	}
}

// shown returns as much of a session's id as may be logged. What a caller sent in place of an id may
// be cut within a letter, so the rest of that is dropped.
func shown(sessionID string) string {
	if len(sessionID) > sessionShown {
		return strings.ToValidUTF8(sessionID[:sessionShown], "") + "…"
	}
	return sessionID
}
