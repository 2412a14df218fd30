package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/sandbox"
)

// goneReason is why a session is lost whose sandbox nobody found again.
const goneReason = "the gateway was restarted and its sandbox was gone"

// Recover takes over the sessions of a gateway that was killed. It is called once, before the first
// request. reconcile is given a function that tells whether a sandbox still has a session; it
// removes all other sandboxes of this gateway and returns those it kept, ready for use. A session
// whose sandbox is among them goes on under its id with a fresh lease, as nobody could renew it
// while the gateway was down; any other session is lost.
func (s *Sessions) Recover(ctx context.Context, reconcile func(keep func(sandboxID string) bool) ([]sandbox.Sandbox, error)) error {
	rows, err := s.opts.Store.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("recover sessions: %w", err)
	}
	now := time.Now()
	wanted := make(map[string]*session) // by sandbox
	var all []*session
	for _, row := range rows {
		sess, err := s.fromRow(row, now)
		if err != nil {
			return fmt.Errorf("recover sessions: %w", err)
		}
		all = append(all, sess)
		if sess.lost.Load() == nil && sess.hardExpiry.After(now) {
			wanted[sess.sandboxID] = sess
		}
	}
	if err := failpoint.Fail(failpoint.StartFound); err != nil {
		return err
	}
	boxes, err := reconcile(func(sandboxID string) bool { return wanted[sandboxID] != nil })
	failpoint.Reach(failpoint.StartSettled)
	if errors.Is(err, sandbox.ErrUnavailable) {
		return errors.Join(fmt.Errorf("reconcile sandboxes: %w", err), closeAll(boxes))
	}
	if err != nil { // what was kept is good; the rest is left to whoever sweeps
		s.opts.Logger.Warn("some sandboxes could not be removed", "err", err)
	}
	var strays []sandbox.Sandbox
	for _, box := range boxes {
		if sess := wanted[box.ID()]; sess != nil && sess.sandbox == nil {
			sess.sandbox = box
		} else {
			strays = append(strays, box)
		}
	}
	s.resume(all)
	return closeAll(strays)
}

// resume lists the sessions of the gateway before.
func (s *Sessions) resume(all []*session) {
	for _, sess := range all {
		sess.account = s.opts.Accounts.Account(sess.tenant)
		s.noteSaved(sess)
		sess.used.Add(1) // by the gateway before, for all that is known
		if sess.lost.Load() == nil {
			hold(sess.account, sess.spec.Limits) // it is there, whatever the limits are now
		} else {
			sess.released.Store(true)
		}
		s.mu.Lock()
		s.all[sess.owned()] = sess
		s.mu.Unlock()
		if sess.sandbox == nil {
			s.lose(sess, lostRestart, sess.withSaved(goneReason))
			continue
		}
		if err := s.claim(sess.tenant, sess.id, sess.keeping.Workspace); err != nil {
			s.opts.Logger.Error("two sessions are to be saved as one workspace", "session", shown(sess.id), "workspace", sess.keeping.Workspace)
		}
		s.renew(sess)
		s.work.Go(func() { s.watch(sess) })
	}
	if s.opts.Workspaces != nil {
		s.opts.Workspaces.Settle(func(tenant, session string) bool {
			s.mu.RLock()
			defer s.mu.RUnlock()
			sess := s.all[owned{tenant, session}]
			return sess != nil && sess.lost.Load() == nil
		})
	}
	s.nudge()
}

// closeAll closes sandboxes that no session wants.
func closeAll(boxes []sandbox.Sandbox) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	for _, box := range boxes {
		errs = append(errs, box.Close(ctx))
	}
	return errors.Join(errs...)
}
