package journal

import (
	"context"
	"errors"

	"github.com/sandgate/sandgate/gateway/store"
)

// find returns a call that runs here, by either of its names, nil for none.
func (j *Journal) find(tenant, id string) *Live {
	j.mu.Lock()
	defer j.mu.Unlock()
	if l := j.byID[name{tenant, id}]; l != nil {
		return l
	}
	return j.live[name{tenant, id}]
}

// Attach returns a call that can be followed, running or not. ErrUnknown: there is none, or it did
// not carry an id of its caller's and so nothing was kept.
func (j *Journal) Attach(ctx context.Context, tenant, id string) (*Live, error) {
	if l := j.find(tenant, id); l != nil {
		return l, nil
	}
	row, err := j.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if row.CallID == "" {
		return nil, ErrUnknown
	}
	l := newLive(j, row)
	l.replay(row, row.Hash)
	return l, nil
}

// Get returns a call by either of its names. ErrUnknown: there is none.
func (j *Journal) Get(ctx context.Context, tenant, id string) (store.Call, error) {
	row, err := j.store.Call(ctx, tenant, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Call{}, ErrUnknown
	}
	return row, err
}

// List lists calls without their results, the newest first.
func (j *Journal) List(ctx context.Context, filter store.CallFilter) ([]store.Call, error) {
	return j.store.Calls(ctx, filter)
}

// Running tells how many calls run that carry their callers' ids.
func (j *Journal) Running() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.live)
}

// Cancel tells a call that runs to end, and whether there was one.
func (j *Journal) Cancel(tenant, id string) bool {
	l := j.find(tenant, id)
	if l == nil || l.over() {
		return false
	}
	l.cancel()
	return true
}
