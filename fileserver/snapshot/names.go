package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// find returns a copy, or the error that there is none.
func (s *Store) find(g group, name string) (*kept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.all[g][name]; k != nil {
		return k, nil
	}
	return nil, notFound(record{Session: g.session, Name: name})
}

// list returns the copies of a group: workspaces by name, checkpoints by age.
func (s *Store) list(g group) []*kept {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.all[g]))
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *kept) int {
		if g.session != "" {
			return a.number() - b.number()
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all
}

// mayAdd returns why a tenant may not have one more workspace.
func (s *Store) mayAdd(g group, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all[g]) < maxWorkspaces || s.all[g][name] != nil {
		return nil
	}
	return guestrpc.NewError(connect.CodeResourceExhausted, fmt.Errorf("there are %d workspaces", maxWorkspaces),
		"TOO_MANY_WORKSPACES", "Delete one that is no longer needed, or save under its name.")
}

// checkpoint returns one by its id, or the newest that no undo has made for an empty id.
func (s *Store) checkpoint(g group, id string) (*kept, error) {
	if id != "" {
		return s.find(g, id)
	}
	for _, k := range slices.Backward(s.list(g)) {
		if !k.Undo {
			return k, nil
		}
	}
	return nil, guestrpc.NewError(connect.CodeFailedPrecondition, errors.New("the session has no checkpoint"),
		"NO_CHECKPOINT", "Make one first with workspace_checkpoint (CreateCheckpoint): it tells what changes from then on.")
}

// nextCheckpoint returns the id of the next one, and the copies that have to go for it, but for one that is needed.
func (s *Store) nextCheckpoint(g group, needed *kept) (id string, surplus []*kept) {
	all := s.list(g)
	last := 0
	if len(all) > 0 {
		last = all[len(all)-1].number()
	}
	for _, k := range all {
		if k != needed && len(all)-len(surplus) >= maxCheckpoints {
			surplus = append(surplus, k)
		}
	}
	return fmt.Sprintf("%s%d", checkpointPrefix, last+1), surplus
}

// Forget removes the checkpoints of a session that has ended.
func (s *Store) Forget(tenant, session string) {
	if session == "" {
		return
	}
	g := group{tenant, session}
	leave, err := s.alone(context.Background(), g) // whoever works on it fails soon, as its sandbox has ended
	if err != nil {
		return
	}
	defer leave()
	for _, k := range s.list(g) {
		_ = s.drop(k) // it is logged
	}
}

// Settle removes the checkpoints of all sessions but those that go on. It is called once, before the first call.
func (s *Store) Settle(goesOn func(tenant, session string) bool) {
	s.mu.Lock()
	groups := slices.Collect(maps.Keys(s.all))
	s.mu.Unlock()
	for _, g := range groups {
		if g.session != "" && !goesOn(g.tenant, g.session) {
			s.Forget(g.tenant, g.session)
		}
	}
}
