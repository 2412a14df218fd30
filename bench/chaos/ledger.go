package main

import (
	"sync"

	"github.com/sandgate/sandgate/bench/rig"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// A ledger is what the clients were promised. Its methods may be called by any number of goroutines.
type ledger struct {
	mu       sync.Mutex
	calls    []*call             // not settled yet; guarded by mu
	sessions map[string]*session // that are not known to have ended; guarded by mu
	made     int                 // sessions that clients were told of; guarded by mu
}

// call is one call with a call_id. One worker fills it, and the check reads it after the load.
type call struct {
	client  *rig.Client
	session *session
	request *sandgatev1.CallToolRequest
	// counts tells that the call notes its id in the session, so that its runs can be counted.
	counts bool
	// reply is what its caller was told. Nil: nothing, or an error.
	reply *sandgatev1.CallToolResponse
	// drained tells that the gateway was ended by SIGTERM while it ran, which must not lose it.
	drained bool
}

// session is one session that somebody was told of.
type session struct {
	client *rig.Client
	id     string

	mu     sync.Mutex
	kernel map[string]bool   // ids of cells that were acknowledged, which the kernel must remember; guarded by mu
	once   map[string]bool   // ids of what was acknowledged, which must have run once; guarded by mu
	files  map[string]string // files whose writing was acknowledged; guarded by mu
	ending bool              // its end was asked for, by whomever; guarded by mu
	ended  bool              // and acknowledged; guarded by mu
}

func newLedger() *ledger { return &ledger{sessions: map[string]*session{}} }

// created notes a session that a client was told of.
func (l *ledger) created(client *rig.Client, id string) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &session{client: client, id: id, kernel: map[string]bool{}, once: map[string]bool{}, files: map[string]string{}}
	l.sessions[id] = s
	l.made++
	return s
}

// sent notes a call that is about to be sent.
func (l *ledger) sent(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
}

// open returns the calls that are not settled, and forgets them.
func (l *ledger) open() []*call {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := l.calls
	l.calls = nil
	return open
}

// all returns the sessions that are not known to have ended.
func (l *ledger) all() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*session
	for _, s := range l.sessions {
		all = append(all, s)
	}
	return all
}

// find returns a session, nil for one that no client was told of.
func (l *ledger) find(id string) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions[id]
}

// gone drops a session that has ended.
func (l *ledger) gone(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, s.id)
}

// drain notes that the gateway is told to end: its sessions may go, its calls must not be lost.
func (l *ledger) drain() {
	for _, s := range l.all() {
		s.end(false)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.calls {
		c.drained = true
	}
}

// end notes that the session's end was asked for, or was acknowledged.
func (s *session) end(acknowledged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.ended = s.ended || acknowledged
}

// ran notes that something was acknowledged that writes its id down.
func (s *session) ran(id string, cell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once[id] = true
	if cell {
		s.kernel[id] = true
	}
}

// wrote notes a file whose writing was acknowledged.
func (s *session) wrote(path, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = text
}
