package journal

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxEvents bounds what is kept of a call's events, in bytes. Who follows slower than that misses
// some, and sees so by their sequence.
const maxEvents = 1 << 20

// A Live is a call that somebody follows. Its methods may be called by any number of goroutines.
type Live struct {
	journal   *Journal
	row       store.Call      // as it began; never changes
	cancelled context.Context //nolint:containedctx // ends when the call is cancelled
	cancel    context.CancelFunc

	mu      sync.Mutex
	events  []event       // guarded by mu
	size    int           // of the events, in bytes; guarded by mu
	last    int64         // the sequence of the last event; guarded by mu
	emitted int64         // events; guarded by mu
	changed chan struct{} // closed, and replaced, at every change; guarded by mu
	ended   bool          // guarded by mu
	outcome Outcome       // guarded by mu
	err     error         // why there is no outcome; guarded by mu
	final   store.Call    // as it is to be kept; guarded by mu
	kept    bool          // guarded by mu

	keeping sync.Mutex // one writes it down at a time
}

// event is one thing that happened.
type event struct {
	sequence int64
	progress *structpb.Struct
	size     int
}

func newLive(j *Journal, row store.Call) *Live {
	l := &Live{journal: j, row: row, changed: make(chan struct{})}
	l.cancelled, l.cancel = context.WithCancel(context.Background())
	return l
}

// SessionID is where the call works.
func (l *Live) SessionID() string { return l.row.SessionID }

// emit keeps an event for whoever follows. Its number is that which it had, or would have had, in the
// gateway that made the call: missed events keep theirs.
func (l *Live) emit(missed int64, progress *structpb.Struct) {
	failpoint.Reach(failpoint.CallDispatched)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.emitted++
	l.last = l.emitted + missed
	added := event{l.last, progress, proto.Size(progress)}
	l.events, l.size = append(l.events, added), l.size+added.size
	for l.size > maxEvents && len(l.events) > 1 {
		l.size -= l.events[0].size
		l.events[0] = event{}
		l.events = l.events[1:]
	}
	l.announce()
}

// announce wakes whoever follows. The caller holds mu.
func (l *Live) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// end notes how the call ended. A lost one was ended by the end of the gateway.
func (l *Live) end(outcome Outcome, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome, l.ended = outcome, true
	l.final = l.row
	l.final.Request = nil // for the gateway after this one, if the call had not ended
	l.final.EndedAt = time.Now()
	l.final.State = store.CallEnded
	if lost {
		l.final.State, l.err = store.CallLost, ErrLost
	}
	// The messages are ours and marshal; were they not to, the call is lost to who comes later.
	var err error
	if outcome.Result != nil {
		l.final.Status = int32(outcome.Result.GetStatus())
		l.final.Result, err = proto.Marshal(outcome.Result)
	} else if outcome.Failure != nil {
		var text []byte
		text, err = protojson.Marshal(outcome.Failure)
		l.final.Error = string(text)
	}
	if err != nil {
		l.final.State = store.CallLost
	}
}

// keep writes down how the call ended, if that was not done, and lets those who follow know.
func (l *Live) keep() error {
	l.keeping.Lock()
	defer l.keeping.Unlock()
	l.mu.Lock()
	final, kept := l.final, l.kept
	l.mu.Unlock()
	if kept {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := l.journal.store.EndCall(ctx, final)
	failpoint.Reach(failpoint.CallEnded)
	if err == nil {
		l.journal.forget(l)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = err == nil
	l.announce()
	return err
}

// replay makes the call one that has ended as it is written down, if the request was the same.
func (l *Live) replay(row store.Call, hash []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.kept = true, true
	defer l.announce()
	switch {
	case !bytes.Equal(row.Hash, hash):
		l.err = ErrConflict
	case row.State != store.CallEnded: // it runs nowhere, or the journal would know
		l.err = ErrLost
	default:
		l.outcome, l.err = OutcomeOf(row)
	}
}

// refuse makes the call one that was never run.
func (l *Live) refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.kept, l.err = true, true, err
	l.announce()
}

// OutcomeOf reads how a call ended from what is written down.
func OutcomeOf(row store.Call) (Outcome, error) {
	if row.Error != "" {
		failure := new(sandgatev1.CallError)
		if err := protojson.Unmarshal([]byte(row.Error), failure); err != nil {
			return Outcome{}, fmt.Errorf("read the error of call %s: %w", row.ID, err)
		}
		return Outcome{Failure: failure}, nil
	}
	result := new(sandgatev1.CallToolResponse)
	if err := proto.Unmarshal(row.Result, result); err != nil {
		return Outcome{}, fmt.Errorf("read the result of call %s: %w", row.ID, err)
	}
	return Outcome{Result: result}, nil
}

// over tells whether the call has ended.
func (l *Live) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// Follow gives emit the events behind a sequence, unless it is nil, and returns how the call ended
// once that is written down. Its errors are those of this package, emit's, and ctx's: leaving does
// not end the call.
func (l *Live) Follow(ctx context.Context, after int64, emit func(sequence int64, progress *structpb.Struct) error) (Outcome, error) {
	for {
		l.mu.Lock()
		fresh := l.behind(after, emit != nil)
		ended, kept, changed := l.ended, l.kept, l.changed
		outcome, err := l.outcome, l.err
		l.mu.Unlock()
		for _, e := range fresh {
			if err := emit(e.sequence, e.progress); err != nil {
				return Outcome{}, err
			}
			after = e.sequence
		}
		switch {
		case len(fresh) > 0:
			continue
		case ended && kept:
			return outcome, err
		case ended && l.keep() != nil:
			return Outcome{}, ErrNotKept
		case ended:
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
	}
}

// behind returns the events after a sequence. The caller holds mu.
func (l *Live) behind(after int64, wanted bool) []event {
	if !wanted {
		return nil
	}
	for i, e := range l.events {
		if e.sequence > after {
			return append([]event(nil), l.events[i:]...)
		}
	}
	return nil
}
