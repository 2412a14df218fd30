package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// shelfRig is a shelf around a handler that a test speaks for, within a synctest bubble.
type shelfRig struct {
	t       *testing.T
	shelf   *shelf
	handler http.Handler
	runs    int                  // how often the handler was begun
	orders  chan func(*shelfJob) // what it does next
	working sync.WaitGroup
	end     context.CancelFunc
}

// shelfJob is one run of the handler.
type shelfJob struct {
	w    http.ResponseWriter
	r    *http.Request
	over bool
}

// withShelf runs a test with a shelf.
func withShelf(t *testing.T, test func(s *shelfRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &shelfRig{t: t, orders: make(chan func(*shelfJob)), end: cancel}
		s.shelf = newShelf(ctx, &s.working)
		s.handler = s.shelf.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.runs++
			w.Header().Set("Content-Type", "application/connect+proto")
			for job := (&shelfJob{w: w, r: r}); !job.over; {
				select {
				case order := <-s.orders:
					order(job)
				case <-r.Context().Done():
					return
				}
			}
		}))
		test(s)
		cancel()
		s.working.Wait()
	})
}

// asker is who makes a request.
type asker struct {
	*httptest.ResponseRecorder

	leave context.CancelFunc
	gone  chan struct{} // closed when the request is over
	cut   bool          // it ended without the end of an answer
}

// ask makes a request, and returns when nothing happens any more.
func (s *shelfRig) ask(method, path, name string) *asker {
	ctx, cancel := context.WithCancel(context.Background())
	a := &asker{ResponseRecorder: httptest.NewRecorder(), leave: cancel, gone: make(chan struct{})}
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader("x = 1"))
	r.Header.Set(sandbox.CallHeader, name)
	r.Header.Set("Content-Type", "application/connect+proto")
	go func() {
		defer close(a.gone)
		defer func() { a.cut = recover() != nil }()
		s.handler.ServeHTTP(a, r)
	}()
	synctest.Wait()
	return a
}

func (s *shelfRig) make(name string) *asker {
	return s.ask(http.MethodPost, "/some.Service/Method", name)
}

func (s *shelfRig) follow(name string) *asker { return s.ask(http.MethodGet, sandbox.CallPath, name) }

func (s *shelfRig) forget(name string) *asker {
	return s.ask(http.MethodDelete, sandbox.CallPath, name)
}

// do has the handler do something, and returns when nothing happens any more.
func (s *shelfRig) do(order func(*shelfJob)) {
	s.orders <- order
	synctest.Wait()
}

// say has the handler send messages.
func (s *shelfRig) say(messages ...string) {
	s.do(func(job *shelfJob) {
		for _, message := range messages {
			_, _ = job.w.Write(frameOf(message))
			_ = http.NewResponseController(job.w).Flush() // it can
		}
	})
}

func (s *shelfRig) finish() { s.do(func(job *shelfJob) { job.over = true }) }

func frameOf(message string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// messages are what an asker got, the first letters of each.
func (a *asker) messages() string {
	var all []string
	for body := a.Body.Bytes(); len(body) > 0; {
		size := 5 + int(binary.BigEndian.Uint32(body[1:5]))
		all, body = append(all, string(body[5:min(size, 9)])), body[size:]
	}
	return strings.Join(all, " ")
}

func (a *asker) wants(t *testing.T, messages string, over bool) {
	t.Helper()
	ended := false
	select {
	case <-a.gone:
		ended = !a.cut
	default:
	}
	if a.messages() != messages || ended != over {
		t.Errorf("got %q, ended %v; want %q, %v", a.messages(), ended, messages, over)
	}
}

// TestWorkOutlivesItsChannel breaks the channel under a request, and asks by the next one.
func TestWorkOutlivesItsChannel(t *testing.T) {
	withShelf(t, func(s *shelfRig) {
		first := s.make("c-1")
		s.say("one")
		first.wants(s.t, "one", false)
		first.leave()
		synctest.Wait()
		s.say("two")
		second := s.follow("c-1")
		second.wants(s.t, "one two", false)
		s.say("tri")
		s.finish()
		second.wants(s.t, "one two tri", true)
		s.follow("c-1").wants(s.t, "one two tri", true) // it was not written down yet
		if s.ask(http.MethodHead, sandbox.CallPath, "c-1").Code != http.StatusNoContent || second.Header().Get("Content-Type") != "application/connect+proto" {
			s.t.Errorf("header %v", second.Header())
		}
		if again := s.make("c-1"); s.runs != 1 || !strings.Contains(again.Body.String(), "was made before") {
			s.t.Errorf("it ran %d times: %s", s.runs, again.Body)
		}
		s.forget("c-1")
		if s.follow("c-1").Code != http.StatusNotFound || s.shelf.size != 0 || len(s.shelf.kept) != 0 {
			s.t.Errorf("it is not forgotten: %d bytes", s.shelf.size)
		}
	})
}

// TestTheNextReaderTakesOver: of two who follow, the one who came last gets the rest.
func TestTheNextReaderTakesOver(t *testing.T) {
	withShelf(t, func(s *shelfRig) {
		first := s.make("c-1")
		s.say("one")
		second := s.follow("c-1")
		s.say("two")
		first.wants(s.t, "one", false)
		second.wants(s.t, "one two", false)
		<-first.gone
	})
}

func TestWorkEndsWhenItIsTold(t *testing.T) {
	withShelf(t, func(s *shelfRig) {
		first := s.make("c-1")
		s.say("one")
		s.forget("c-1")
		s.working.Wait() // it has ended
		<-first.gone
		if s.follow("c-1").Code != http.StatusNotFound || s.shelf.size != 0 {
			s.t.Error("it is still known")
		}
		// The end of a request may come before the request.
		s.forget("c-2")
		if s.follow("c-2").Code != http.StatusNotFound || !strings.Contains(s.make("c-2").Body.String(), "was made before") || s.runs != 1 {
			s.t.Errorf("%d ran", s.runs)
		}
	})
}

// TestNobodyReads lets work go on that says more than is kept.
func TestNobodyReads(t *testing.T) {
	withShelf(t, func(s *shelfRig) {
		s.make("c-1").leave()
		synctest.Wait()
		const size, count = 64 << 10, 100
		for i := range count {
			s.say(fmt.Sprintf("%03d ", i) + strings.Repeat("x", size))
		}
		kept := maxAnswer / (size + 9)
		if s.shelf.size > maxAnswer || s.shelf.size < maxAnswer-size-9 {
			s.t.Errorf("%d bytes are kept", s.shelf.size)
		}
		s.say("end")
		s.finish()
		second := s.follow("c-1")
		if missed := second.Header().Get(sandbox.MissedHeader); missed != fmt.Sprint(count-kept) || !strings.HasSuffix(second.messages(), "098  099  end") {
			s.t.Errorf("missed %s, got %s", missed, second.messages())
		}
		huge := s.make("c-2") // what is too long on its own is kept as long as it is the last
		huge.leave()
		synctest.Wait()
		s.say("one", strings.Repeat("y", 2*maxAnswer))
		s.finish()
		if third := s.follow("c-2"); third.Body.Len() != 2*maxAnswer+frameHeader {
			s.t.Errorf("%d bytes", third.Body.Len())
		}
	})
}

// slowly is a reader that takes a piece when it is told to.
type slowly struct {
	bytes.Buffer

	header http.Header
	take   chan struct{}
}

func (w *slowly) Header() http.Header { return w.header }
func (w *slowly) WriteHeader(int)     {}
func (w *slowly) Write(p []byte) (int, error) {
	<-w.take
	return w.Buffer.Write(p)
}

// TestASlowReaderIsWaitedFor: nothing is dropped that somebody who is there has not taken.
func TestASlowReaderIsWaitedFor(t *testing.T) {
	withShelf(t, func(s *shelfRig) {
		w := &slowly{header: http.Header{}, take: make(chan struct{})}
		r := httptest.NewRequest(http.MethodPost, "/some.Service/Method", http.NoBody)
		r.Header.Set(sandbox.CallHeader, "c-1")
		over := make(chan struct{})
		go func() {
			defer close(over)
			s.handler.ServeHTTP(w, r)
		}()
		const size, count = 64 << 10, 100
		said := 0
		s.orders <- func(job *shelfJob) {
			for ; said < count; said++ {
				_, _ = job.w.Write(frameOf(strings.Repeat("x", size)))
				_ = http.NewResponseController(job.w).Flush() // it can
			}
			job.over = true
		}
		synctest.Wait()
		if waiting := said * size; waiting > 2*(maxUnsent+size)+size {
			s.t.Errorf("%d bytes wait for the reader", waiting)
		}
		close(w.take)
		<-over
		if w.Len() != count*(size+frameHeader) || w.header.Get(sandbox.MissedHeader) != "" {
			s.t.Errorf("%d bytes came", w.Len())
		}
	})
}

// TestTheShelfIsBounded fills it with answers that nobody fetches.
func TestTheShelfIsBounded(t *testing.T) {
	withShelf(t, func(s *shelfRig) {
		for i := range maxKept + 50 {
			s.make(fmt.Sprintf("c-%d", i)).leave()
			synctest.Wait()
			s.say(strings.Repeat("x", 128<<10))
			s.finish()
		}
		if s.shelf.size > maxKeptBytes || len(s.shelf.kept) != len(s.shelf.ended) || len(s.shelf.kept) > maxKept {
			s.t.Errorf("%d answers, %d bytes", len(s.shelf.kept), s.shelf.size)
		}
		if s.follow("c-0").Code != http.StatusNotFound || s.follow(fmt.Sprintf("c-%d", maxKept+49)).Code != http.StatusOK {
			s.t.Error("not the oldest were dropped")
		}
		<-time.After(keepAnswered + time.Second)
		synctest.Wait()
		if len(s.shelf.kept) != 0 || s.shelf.size != 0 {
			s.t.Errorf("after a while %d answers, %d bytes", len(s.shelf.kept), s.shelf.size)
		}
		for i := range maxKept {
			s.make(fmt.Sprintf("d-%d", i))
		}
		runs := s.runs
		if s.make("one-more"); s.runs != runs {
			s.t.Error("more work than is bounded runs")
		}
	})
}

// TestAnotherEnds: a handler that panics, a request that comes half, the end of the guest.
func TestAnotherEnds(t *testing.T) {
	withShelf(t, func(s *shelfRig) {
		first := s.make("c-1")
		s.do(func(*shelfJob) { panic("a bug") })
		<-first.gone
		if !first.cut {
			s.t.Error("the answer has an end")
		}
		if again := s.follow("c-1"); !again.cut {
			s.t.Error("the next one has an end")
		}
		r := httptest.NewRequest(http.MethodPost, "/some.Service/Method", http.NoBody)
		r.Header.Set(sandbox.CallHeader, strings.Repeat("n", maxCallName+1))
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || s.runs != 1 {
			s.t.Errorf("a long name: %d", w.Code)
		}
		half := httptest.NewRequest(http.MethodPost, "/some.Service/Method", &halfBody{})
		half.Header.Set(sandbox.CallHeader, "c-2")
		w = httptest.NewRecorder()
		s.handler.ServeHTTP(w, half)
		if w.Code != http.StatusBadRequest || s.runs != 1 {
			s.t.Errorf("half a request: %d", w.Code)
		}
		last := s.make("c-3")
		s.end()
		s.working.Wait()
		<-last.gone
	})
}

// halfBody is a body that breaks off.
type halfBody struct{ sent bool }

func (b *halfBody) Read(p []byte) (int, error) {
	if b.sent {
		return 0, http.ErrBodyReadAfterClose
	}
	b.sent = true
	return copy(p, "x ="), nil
}
