package gateway

import (
	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/sandbox"
)

// reserve counts a session that is about to be made, so that two cannot share the last place, and takes
// what it needs from its tenant's account. After nil, unreserve or madeLocked must be called, and the
// account be given back what was taken when the session has ended.
func (s *Sessions) reserve(tenant string, limits sandbox.Limits) (*quota.Account, error) {
	account := s.opts.Accounts.Account(tenant)
	if err := take(account, limits); err != nil {
		return nil, quotaError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.roomLocked(account); err != nil {
		release(account, limits)
		return nil, err
	}
	s.pending[tenant]++
	s.work.Add(1)
	return account, nil
}

// roomLocked returns why a tenant may not have one session more. Where tenants share the gateway, none
// has more of them than it leaves room for, times its weight. The caller holds mu.
func (s *Sessions) roomLocked(account *quota.Account) error {
	if s.closed {
		return errDraining()
	}
	running, own := 0, s.pending[account.Name()]
	for _, making := range s.pending {
		running += making
	}
	for _, sess := range s.all {
		if sess.lost.Load() == nil {
			running++
			if sess.tenant == account.Name() {
				own++
			}
		}
	}
	free := s.opts.MaxSessions - running
	if free <= 0 {
		return Errorf(connect.CodeResourceExhausted, ReasonTooManySessions,
			"Delete a session that is no longer needed, or try again later.",
			"this gateway runs at most %d sessions at once", s.opts.MaxSessions)
	}
	if share := max(1, free*int(max(1, account.Limits().Weight))); s.opts.Shared() && own >= share {
		return Errorf(connect.CodeResourceExhausted, ReasonTooManySessions,
			"Delete a session that is no longer needed, or try again later.",
			"this tenant has %d sessions, and the %d that are free are left to others", own, free)
	}
	return nil
}

func (s *Sessions) unreserve(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.madeLocked(tenant)
}

// madeLocked tells that a session is no longer being made. The caller holds mu.
func (s *Sessions) madeLocked(tenant string) {
	if s.pending[tenant]--; s.pending[tenant] == 0 {
		delete(s.pending, tenant)
	}
}

// needs are what a session takes from its tenant's account.
func needs(limits sandbox.Limits) map[quota.Level]int64 {
	return map[quota.Level]int64{quota.Sessions: 1, quota.Memory: limits.MemoryBytes, quota.Stored: limits.WorkspaceBytes}
}

// take takes what a session needs, all of it or nothing.
func take(account *quota.Account, limits sandbox.Limits) error {
	taken := map[quota.Level]int64{}
	for level, n := range needs(limits) {
		if err := account.Reserve(level, n); err != nil {
			for level, n := range taken {
				account.Release(level, n)
			}
			return err
		}
		taken[level] = n
	}
	return nil
}

// hold takes what a session needs that is there already.
func hold(account *quota.Account, limits sandbox.Limits) {
	for level, n := range needs(limits) {
		account.Hold(level, n)
	}
}

func release(account *quota.Account, limits sandbox.Limits) {
	for level, n := range needs(limits) {
		account.Release(level, n)
	}
}

// release gives back what a session took, once.
func (sess *session) release() {
	if sess.released.CompareAndSwap(false, true) {
		release(sess.account, sess.spec.Limits)
	}
}
