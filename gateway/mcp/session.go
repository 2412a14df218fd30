package mcp

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandgate/sandgate/gateway"
)

// session is one MCP session: a client that was told where it works.
type session struct {
	principal string // the name of who began it; nobody else may use it
	remote    bool   // it came over HTTP
	place     *place
	most      int                // calls in flight
	wire      *sdk.ServerSession // set once, before the client knows its id
	gone      chan struct{}      // closed when nothing is left of it

	mu    sync.Mutex
	used  time.Time                  // when the last request came or was answered; guarded by mu
	asked int                        // requests that are not yet answered; guarded by mu
	calls map[int]context.CancelFunc // in flight; guarded by mu
	next  int                        // the key of the next call; guarded by mu
	over  bool                       // guarded by mu
	quiet chan struct{}              // closed when asked falls to zero; nil: nobody waits for that; guarded by mu
}

// sessionKey is the key of a session in a context.
type sessionKey struct{}

func withSession(ctx context.Context, s *session) context.Context {
	return context.WithValue(ctx, sessionKey{}, s)
}

// sessionFrom returns the session that a request belongs to, nil where the protocol has none.
func sessionFrom(ctx context.Context) *session {
	s, _ := ctx.Value(sessionKey{}).(*session)
	return s
}

// arrive notes a request of the session's. depart must be called when it has been answered.
func (s *session) arrive() (depart func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = time.Now()
	s.asked++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.used = time.Now()
		s.asked--
		if s.asked == 0 && s.quiet != nil {
			close(s.quiet)
			s.quiet = nil
		}
	}
}

// enter lets a call in; cancel is called when the session ends before it. After nil, leave must be
// called.
func (s *session) enter(cancel context.CancelFunc) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return nil, connect.NewError(connect.CodeCanceled, context.Canceled)
	case len(s.calls) >= s.most:
		return nil, gateway.Errorf(connect.CodeResourceExhausted, gateway.ReasonOverloaded,
			"Wait for some of them to end.", "%d calls of this session run already", len(s.calls))
	}
	key := s.next
	s.next++
	if s.calls == nil {
		s.calls = make(map[int]context.CancelFunc)
	}
	s.calls[key] = cancel
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.calls, key)
	}, nil
}

// settled returns a channel that is closed when every request has been answered.
func (s *session) settled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == 0 {
		quiet := make(chan struct{})
		close(quiet)
		return quiet
	}
	if s.quiet == nil {
		s.quiet = make(chan struct{})
	}
	return s.quiet
}

// end cancels every call, and lets none in any more.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, cancel := range s.calls {
		cancel()
	}
}

// idle tells since when nobody uses the session. It is false while a request waits for its answer.
func (s *session) idle() (since time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.asked == 0
}

// table holds the MCP sessions over HTTP.
type table struct {
	most int

	mu     sync.Mutex
	all    map[string]*session // by id; guarded by mu
	closed bool                // guarded by mu
}

func newTable(most int) *table { return &table{most: most, all: make(map[string]*session)} }

// add files a session under the id of its wire. Where there are too many, the one goes that its own
// principal has left alone for the longest: clients seldom say that they are done.
func (t *table) add(s *session) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the gateway is ending"}
	}
	if len(t.all) >= t.most {
		oldest := t.oldest(s.principal)
		if oldest == nil {
			return &jsonrpc.Error{
				Code:    jsonrpc.CodeInternalError,
				Message: "there are too many MCP sessions; end one of yours (DELETE), or try again later",
			}
		}
		delete(t.all, oldest.wire.ID())
		oldest.end()
		go func() { _ = oldest.wire.Close() }() // ends at once, as nothing runs in it; the watcher waits for it
	}
	t.all[s.wire.ID()] = s
	return nil
}

// oldest returns the session of a principal that has been idle for the longest, nil for none. The
// caller holds mu.
func (t *table) oldest(principal string) *session {
	type candidate struct {
		session *session
		since   time.Time
	}
	var idle []candidate
	for _, s := range t.all {
		if since, ok := s.idle(); ok && s.principal == principal {
			idle = append(idle, candidate{s, since})
		}
	}
	if len(idle) == 0 {
		return nil
	}
	return slices.MinFunc(idle, func(a, b candidate) int { return a.since.Compare(b.since) }).session
}

// find returns the session of an id that a principal began, nil for none: one of somebody else's
// looks like one that does not exist.
func (t *table) find(id, principal string) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.all[id]; s != nil && same(s.principal, principal) {
		return s
	}
	return nil
}

// remove forgets a session.
func (t *table) remove(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id := s.wire.ID(); t.all[id] == s {
		delete(t.all, id)
	}
}

// close lets no session in any more, and returns those that there are.
func (t *table) close() []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	all := make([]*session, 0, len(t.all))
	for _, s := range t.all {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.wire.ID(), b.wire.ID()) })
	return all
}
