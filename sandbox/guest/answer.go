package guest

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// answer is what a durable request is answered with, while it is written and afterwards. It is the
// http.ResponseWriter of its work, and whoever follows it reads it. Where somebody reads, the work
// waits for a slow one as it would without a shelf; where nobody does it waits for nobody, and of a
// long answer the oldest messages are dropped and counted.
type answer struct {
	shelf  *shelf // whose mu guards everything below
	name   string
	cancel context.CancelFunc
	expiry *time.Timer // nil until the work has ended

	header  http.Header // as its work fills it
	sent    http.Header // as it was when the answer began, nil before
	status  int
	framed  bool         // it is a stream of messages, not one
	partial []byte       // a message that is not whole
	pieces  [][]byte     // the messages, less those that were dropped
	dropped int64        // messages before the first of them
	size    int          // of them, in bytes
	reader  *answerPlace // of who reads it, nil for nobody
	ended   bool         // nothing more comes
	broken  bool         // its work did not end it
	gone    bool         // it is dropped, or to be dropped
	changed chan struct{}
}

// answerPlace is how far a reader has come.
type answerPlace struct {
	next   int64 // the number of the piece that it takes next, counted from the first one ever
	unsent int   // bytes that it has not taken
}

func newAnswer(s *shelf, name string, cancel context.CancelFunc) *answer {
	return &answer{shelf: s, name: name, cancel: cancel, header: http.Header{}, changed: make(chan struct{})}
}

// announce wakes everybody who waits for a change. The caller holds mu.
func (a *answer) announce() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// work lets a handler write the answer to its end.
func (a *answer) work(next http.Handler, r *http.Request) {
	broken := true
	defer func() {
		_ = recover() // as a server does; the broken answer says it
		a.shelf.mu.Lock()
		defer a.shelf.mu.Unlock()
		a.end(broken)
	}()
	next.ServeHTTP(a, r)
	broken = false
}

// end notes that the work has ended. The caller holds mu.
func (a *answer) end(broken bool) {
	a.begin(http.StatusOK)
	if len(a.partial) > 0 && !a.gone {
		a.put(a.partial)
		a.partial = nil
	}
	a.broken = broken
	forgotten := a.gone
	a.shelf.finish(a)
	if forgotten {
		a.shelf.drop(a)
	}
	a.announce()
}

// Header returns the header of the answer.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	a.shelf.mu.Lock()
	defer a.shelf.mu.Unlock()
	a.begin(status)
}

// begin begins the answer, once. The caller holds mu.
func (a *answer) begin(status int) {
	if a.sent != nil {
		return
	}
	a.sent, a.status = a.header.Clone(), status
	a.framed = strings.HasPrefix(a.sent.Get("Content-Type"), "application/connect+")
}

// Write adds to the answer.
func (a *answer) Write(p []byte) (int, error) {
	a.shelf.mu.Lock()
	defer a.shelf.mu.Unlock()
	a.begin(http.StatusOK)
	if a.gone {
		return 0, errForgotten
	}
	a.partial = append(a.partial, p...)
	for a.framed {
		piece := a.whole()
		if piece == nil {
			break
		}
		if !a.room() {
			return 0, errForgotten
		}
		a.put(piece)
	}
	return len(p), nil
}

// frameHeader is the length of what stands before each message of a stream: flags and its length.
const frameHeader = 5

// whole takes a message that has come whole, nil for none. The caller holds mu.
func (a *answer) whole() []byte {
	if len(a.partial) < frameHeader {
		return nil
	}
	size := frameHeader + int64(binary.BigEndian.Uint32(a.partial[1:]))
	if int64(len(a.partial)) < size {
		return nil
	}
	piece := a.partial[:size:size]
	if a.partial = a.partial[size:]; len(a.partial) == 0 {
		a.partial = nil
	}
	return piece
}

// room waits until a reader who is there has taken most of what there is, and tells whether the answer
// is still wanted. The caller holds mu, which is given up meanwhile.
func (a *answer) room() bool {
	for a.reader != nil && a.reader.unsent > maxUnsent && !a.gone {
		a.announce() // the reader may wait for what was not flushed
		a.wait(context.Background())
	}
	return !a.gone
}

// wait waits for a change. The caller holds mu, which is given up meanwhile.
func (a *answer) wait(ctx context.Context) {
	changed := a.changed
	a.shelf.mu.Unlock()
	defer a.shelf.mu.Lock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// put keeps a piece, and drops what is too much: of answers that are whole the oldest, then of this one
// what has no reader who still needs it. The caller holds mu.
func (a *answer) put(piece []byte) {
	a.pieces = append(a.pieces, piece)
	a.grow(len(piece))
	if a.reader != nil {
		a.reader.unsent += len(piece)
	}
	for a.shelf.size > maxKeptBytes && a.shelf.dropOldest() {
	}
	for (a.size > maxAnswer || a.shelf.size > maxKeptBytes) && len(a.pieces) > 1 && (a.reader == nil || a.reader.next > a.dropped) {
		a.grow(-len(a.pieces[0]))
		a.pieces[0] = nil
		a.pieces = a.pieces[1:]
		a.dropped++
	}
}

// grow counts bytes. The caller holds mu.
func (a *answer) grow(by int) {
	a.size += by
	a.shelf.size += by
}

// clear drops what there is of the answer. The caller holds mu.
func (a *answer) clear() {
	a.grow(-a.size)
	a.dropped += int64(len(a.pieces))
	a.pieces, a.partial = nil, nil
}

// Flush says that what was written should leave now.
func (a *answer) Flush() {
	a.shelf.mu.Lock()
	defer a.shelf.mu.Unlock()
	a.begin(http.StatusOK)
	a.announce()
}

// follow answers by what is kept and what comes, to the end, or until ctx ends or another follows.
func (a *answer) follow(ctx context.Context, w http.ResponseWriter) {
	a.shelf.mu.Lock()
	place := &answerPlace{next: a.dropped, unsent: a.size}
	missed := a.dropped
	a.reader = place
	a.announce() // whoever read it before leaves
	a.shelf.mu.Unlock()
	defer a.leave(place)
	for begun := false; ; {
		pieces, over := a.next(ctx, place)
		if len(pieces) == 0 && !over {
			panic(http.ErrAbortHandler) //nolint:forbidigo // the one way to break off an answer that has no end
		}
		if !begun {
			a.open(w, missed)
			begun = true
		}
		if sendAll(w, pieces) != nil || over {
			return
		}
		_ = http.NewResponseController(w).Flush() // the next write tells what is wrong
	}
}

func sendAll(w io.Writer, pieces [][]byte) error {
	for _, piece := range pieces {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// open begins an answer as its work began it.
func (a *answer) open(w http.ResponseWriter, missed int64) {
	a.shelf.mu.Lock()
	header, status := a.sent, a.status
	a.shelf.mu.Unlock()
	for key, values := range header { // which never changes
		w.Header()[key] = slices.Clone(values)
	}
	if missed > 0 {
		w.Header().Set(sandbox.MissedHeader, strconv.FormatInt(missed, 10))
	}
	w.WriteHeader(status)
}

// next waits for pieces behind a place, and tells whether they are the last ones. None and no end mean
// that there is nothing to wait for.
func (a *answer) next(ctx context.Context, place *answerPlace) (pieces [][]byte, over bool) {
	a.shelf.mu.Lock()
	defer a.shelf.mu.Unlock()
	for a.reader == place && !a.gone && ctx.Err() == nil {
		fresh := slices.Clone(a.pieces[place.next-a.dropped:])
		if len(fresh) > 0 || a.ended && !a.broken {
			place.next, place.unsent = place.next+int64(len(fresh)), 0
			a.announce()
			return fresh, a.ended && !a.broken
		}
		if a.ended {
			return nil, false
		}
		a.wait(ctx)
	}
	return nil, false
}

// leave ends a reader's stay.
func (a *answer) leave(place *answerPlace) {
	a.shelf.mu.Lock()
	defer a.shelf.mu.Unlock()
	if a.reader == place {
		a.reader = nil
		a.announce()
	}
}
