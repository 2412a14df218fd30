package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// idPrefix begins the names that the journal gives to calls, and no name that a caller gives.
const idPrefix = "call_"

// A Request is a call that is to run at most once.
type Request struct {
	// Tenant is whose call it is, CallID its name for it.
	Tenant, CallID string
	// SessionID is where it works, Tool what it calls.
	SessionID, Tool string
	// Hash is that of everything that makes the call what it is.
	Hash []byte
	// Body is what the gateway after this one needs to take the call up. Empty: it cannot.
	Body []byte
}

// Run does the work of a call, of which it is given what was written down. Its ctx ends when the call
// is cancelled, not when its caller leaves. It gives emit what happens on the way, each with how many
// events at the beginning of the call were missed so far.
type Run func(ctx context.Context, call store.Call, emit func(missed int64, progress *structpb.Struct)) Outcome

// An Outcome is how a call ended: in a result or in a failure.
type Outcome struct {
	// Lost says that nobody knows how it ended.
	Lost bool
	// Kept, where it is not nil, is called once it is written down.
	Kept func()
	// Result is what it produced. Nil after a failure. It must not be changed.
	Result *sandgatev1.CallToolResponse
	// Failure is the error that it ended in.
	Failure *sandgatev1.CallError
}

// Begin runs a call, unless it was begun before: then it joins it, or finds how it ended. What it
// returns can be followed; began tells whether run is called. ctx bounds nothing but the wait for the store; its values are the call's.
func (j *Journal) Begin(ctx context.Context, req Request, run Run) (l *Live, began bool, err error) {
	if strings.HasPrefix(req.CallID, idPrefix) {
		return nil, false, ErrReserved
	}
	l, first, err := j.claim(req)
	if err != nil || !first {
		return l, false, err
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	kept, began, err := j.write(within, l.row)
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrUnwritten, err)
		l.refuse(err)
	case !began:
		l.replay(kept, req.Hash)
	}
	if !began || err != nil {
		j.forget(l)
		j.running.Done()
		return l, false, err
	}
	go j.run(context.WithoutCancel(ctx), l, run)
	return l, true, nil
}

// claim returns the call of a request that runs, or one that is the caller's to run.
func (j *Journal) claim(req Request) (l *Live, first bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := name{req.Tenant, req.CallID}
	if l := j.live[key]; l != nil {
		if !bytes.Equal(l.row.Hash, req.Hash) {
			return nil, false, ErrConflict
		}
		return l, false, nil
	}
	switch {
	case j.closed:
		return nil, false, ErrClosed
	case len(j.live) >= j.most:
		return nil, false, ErrBusy
	}
	l = newLive(j, store.Call{
		Tenant: req.Tenant, ID: NewID(), CallID: req.CallID, SessionID: req.SessionID, Tool: req.Tool, Hash: req.Hash,
		Request: req.Body, State: store.CallRunning, CreatedAt: time.Now(),
	})
	j.list(l)
	return l, true, nil
}

// list adds a call that runs. The caller holds mu.
func (j *Journal) list(l *Live) {
	j.live[name{l.row.Tenant, l.row.CallID}], j.byID[name{l.row.Tenant, l.row.ID}] = l, l
	j.running.Add(1)
}

// NewID returns the gateway's name for a call.
func NewID() string { return idPrefix + strings.ToLower(rand.Text()) }

// write writes a call down before it is run.
func (j *Journal) write(ctx context.Context, row store.Call) (kept store.Call, began bool, err error) {
	if err := failpoint.Fail(failpoint.CallBegin); err != nil {
		return store.Call{}, false, err
	}
	kept, began, err = j.store.BeginCall(ctx, row)
	failpoint.Reach(failpoint.CallBegun)
	return kept, began, err
}

// run runs a call and writes down how it ended.
func (j *Journal) run(ctx context.Context, l *Live, run Run) {
	defer j.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(j.ctx, cancel)()
	defer context.AfterFunc(l.cancelled, cancel)()
	outcome := run(ctx, l.row, l.emit)
	failpoint.Reach(failpoint.CallRan)
	l.end(outcome, outcome.Lost || j.ctx.Err() != nil && outcome.Result == nil)
	if err := l.keep(); err != nil {
		j.log.Error("the result of a call could not be kept", "call", l.row.ID, "err", err)
	} else if outcome.Kept != nil {
		outcome.Kept()
	}
}

// forget drops a call that is written down.
func (j *Journal) forget(l *Live) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.live, name{l.row.Tenant, l.row.CallID})
	delete(j.byID, name{l.row.Tenant, l.row.ID})
}
