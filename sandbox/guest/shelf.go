package guest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox"
)

// Bounds of what is kept of the answers to durable requests. An answer of the default size fits whole.
const (
	maxKept      = 256             // answers
	maxKeptBytes = 8 << 20         // of all answers
	maxAnswer    = 3 << 20         // bytes of one; its last message is kept, however long
	maxUnsent    = 256 << 10       // bytes that wait for a reader who is there
	keepAnswered = 3 * time.Minute // from the end of the work; a guest without a gateway lives shorter
	maxDurable   = 8<<20 + 64<<10  // bytes of a durable request
	maxCallName  = 128             // bytes
)

// shelf makes requests durable that carry a name. Their work does not end with the channel that they
// came by: it ends by itself, by its own limits, when it is told to by its name, or with the guest.
// What it answers is kept under its name, for the gateway that asked and for the one after it.
// A name is used once: what came with it is never run again.
type shelf struct {
	ctx     context.Context //nolint:containedctx // ends with the guest
	working *sync.WaitGroup

	mu    sync.Mutex
	kept  map[string]*answer // guarded by mu
	ended []*answer          // the oldest first; guarded by mu
	size  int                // of all answers, in bytes; guarded by mu
}

func newShelf(ctx context.Context, working *sync.WaitGroup) *shelf {
	return &shelf{ctx: ctx, working: working, kept: map[string]*answer{}}
}

// around lets durable requests pass to next as what they are, and answers what is asked about them.
func (s *shelf) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get(sandbox.CallHeader)
		switch {
		case name == "":
			next.ServeHTTP(w, r)
		case len(name) > maxCallName:
			http.Error(w, "the name is too long", http.StatusBadRequest)
		case r.URL.Path == sandbox.CallPath:
			s.asked(w, r, name)
		default:
			s.serve(w, r, name, next)
		}
	})
}

// serve does the work of a durable request.
func (s *shelf) serve(w http.ResponseWriter, r *http.Request, name string, next http.Handler) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDurable))
	if err != nil { // of half a request nothing is done
		http.Error(w, "the request did not come whole", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	a := newAnswer(s, name, cancel)
	if err := s.begin(a); err != nil {
		cancel()
		_ = connect.NewErrorWriter().Write(w, r, err) // nobody is there to be told of it
		return
	}
	inner := r.Clone(ctx)
	inner.Body = io.NopCloser(bytes.NewReader(body))
	s.working.Go(func() {
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		a.work(next, inner)
	})
	a.follow(r.Context(), w)
}

// asked answers what is asked about a durable request.
func (s *shelf) asked(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method == http.MethodDelete {
		s.forget(name)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	a := s.find(name)
	switch {
	case a == nil:
		http.NotFound(w, r)
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNoContent)
	default:
		a.follow(r.Context(), w)
	}
}

// begin gives an answer its name.
func (s *shelf) begin(a *answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[a.name] != nil {
		return fail(connect.CodeAborted, "CALL_EXISTS", "make another call", "this call was made before")
	}
	if len(s.kept) >= maxKept && !s.dropOldest() {
		return fail(connect.CodeResourceExhausted, "TOO_MANY_CALLS", "wait for one to end", "%d calls run in this session already", maxKept)
	}
	s.kept[a.name] = a
	return nil
}

// find returns the answer of a name, nil for none.
func (s *shelf) find(name string) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.kept[name]; a != nil && !a.gone {
		return a
	}
	return nil
}

// forget ends the work behind a name, and drops what it answered. One that is not known is taken, so
// that a request that comes behind its own end is not run.
func (s *shelf) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.kept[name]
	switch {
	case a == nil && len(s.kept) < maxKept:
		a = newAnswer(s, name, func() {})
		a.gone = true
		s.kept[name] = a
		s.finish(a)
	case a != nil && a.ended && !a.gone:
		s.drop(a)
	case a != nil:
		a.gone = true // its work drops it when it ends
		a.clear()
		a.cancel()
		a.announce()
	}
}

// finish notes that an answer is whole. The caller holds mu.
func (s *shelf) finish(a *answer) {
	a.ended = true
	s.ended = append(s.ended, a)
	a.expiry = time.AfterFunc(keepAnswered, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if a.reader == nil {
			s.drop(a)
		} else {
			a.expiry.Reset(keepAnswered)
		}
	})
}

// dropOldest forgets the oldest answer that is whole and that nobody reads, if there is one. The caller
// holds mu.
func (s *shelf) dropOldest() bool {
	for _, a := range s.ended {
		if a.reader == nil {
			s.drop(a)
			return true
		}
	}
	return false
}

// drop forgets an answer that is whole. The caller holds mu.
func (s *shelf) drop(a *answer) {
	if s.kept[a.name] != a {
		return
	}
	delete(s.kept, a.name)
	for i, other := range s.ended {
		if other == a {
			s.ended = append(s.ended[:i], s.ended[i+1:]...)
			break
		}
	}
	a.expiry.Stop()
	a.gone = true
	a.clear()
	a.announce()
}

// errForgotten is what the work of a call gets whose answer nobody wants any more.
var errForgotten = errors.New("nobody waits for the answer")
