package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	saveLook    = 15 * time.Second // how often it is looked at what is to be saved
	saveEvery   = time.Minute      // between two saves of a session that is used
	saveShare   = 20               // saves may take one part in so many of the time
	saveTimeout = 45 * time.Second // for the last save of a session that nobody waits for
	lastCalls   = 2 * time.Second  // that it waits for calls
)

// saves is what is known of a session's saves.
type saves struct {
	at    atomic.Int64 // of the last one, in nanoseconds since 1970; zero: there was none
	took  atomic.Int64 // nanoseconds
	used  atomic.Int64 // how much the session was used by then
	given atomic.Bool  // they are given up: no save is made any more

	making sync.Mutex // one is made at a time: the one that began later holds
}

// save saves a session's files where they are to persist. The caller holds making.
func (s *Sessions) save(ctx context.Context, sess *session) error {
	if sess.keeping.Workspace == "" {
		return nil
	}
	used, start := sess.used.Load(), time.Now()
	saved, err := s.opts.Workspaces.Save(ctx, sess.sandbox, sess.tenant, sess.id, sess.keeping.Workspace)
	if err != nil {
		return err
	}
	sess.saves.took.Store(int64(time.Since(start)))
	sess.saves.used.Store(used)
	sess.saves.at.Store(saved.GetCreatedAt().AsTime().UnixNano())
	return nil
}

// saveLast saves the files of a session that ends, in which no call begins any more, after those that run: what they
// have written and were told is in it.
func (s *Sessions) saveLast(sess *session) {
	if sess.keeping.Workspace == "" || sess.saves.given.Load() || sess.sandbox == nil || sess.lostBecause() != nil {
		return
	}
	sess.waitForCalls()
	sess.saves.making.Lock() // what is made meanwhile ends with the session
	defer sess.saves.making.Unlock()
	if sess.saves.at.Load() != 0 && sess.used.Load() == sess.saves.used.Load() {
		return // nothing was done since, or since it began with what is kept
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	if err := s.save(ctx, sess); err != nil {
		s.opts.Logger.Error("the files of a session that ended were not saved: the workspace is as it was saved before",
			"session", shown(sess.id), "tenant", sess.tenant, "workspace", sess.keeping.Workspace, "saved_at", sess.savedAt(), "err", err)
	}
}

// savedAt tells when a session's files were saved last.
func (sess *session) savedAt() time.Time {
	at := sess.saves.at.Load()
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at)
}

// withSaved adds to the reason of a loss what is left of the files.
func (sess *session) withSaved(reason string) string {
	switch at := sess.savedAt(); {
	case sess.keeping.Workspace == "":
		return reason
	case at.IsZero():
		return fmt.Sprintf("%s; its files were not saved yet as workspace %q", reason, sess.keeping.Workspace)
	default:
		return fmt.Sprintf("%s; workspace %q has its files as they were at %s, what was written since is lost",
			reason, sess.keeping.Workspace, at.UTC().Format(time.RFC3339))
	}
}

// saveUsed saves the files of sessions that are used, until the end. None waits for another: a sandbox may take long.
func (s *Sessions) saveUsed() {
	tick := time.NewTicker(saveLook)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		for _, sess := range s.running() {
			if sess.saveDue(time.Now()) && sess.saves.making.TryLock() {
				s.work.Go(func() {
					defer sess.saves.making.Unlock()
					s.saveNow(sess)
				})
			}
		}
	}
}

// saveDue tells whether a session was used since its files were saved, and long enough ago.
func (sess *session) saveDue(now time.Time) bool {
	if sess.keeping.Workspace == "" || (sess.active.Load() == 0 && sess.used.Load() == sess.saves.used.Load()) {
		return false
	}
	last := sess.savedAt()
	if last.Before(sess.created) {
		last = sess.created
	}
	return now.Sub(last) >= max(saveEvery, saveShare*time.Duration(sess.saves.took.Load()))
}

// saveNow saves the files of a session that goes on.
func (s *Sessions) saveNow(sess *session) {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	go func() {
		select {
		case <-sess.leave: // the end of the session saves them
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := s.save(ctx, sess); err != nil && ctx.Err() == nil && sess.lostBecause() == nil {
		s.opts.Logger.Warn("the files of a session were not saved; it is tried again",
			"session", shown(sess.id), "tenant", sess.tenant, "workspace", sess.keeping.Workspace, "err", err)
	}
}

// saveBefore saves the files of a session that is about to be deleted, where they are to persist. The session goes on
// where that fails.
func (s *Sessions) saveBefore(ctx context.Context, req *sandgatev1.DeleteSessionRequest) error {
	s.mu.RLock()
	sess := s.find(principalOf(ctx), req.GetSessionId())
	s.mu.RUnlock()
	if sess == nil || sess.keeping.Workspace == "" {
		return nil
	}
	if req.GetDiscard() {
		if p := principalOf(ctx); !p.MayCall(saveTool) || p.Lacks([]string{filesScope}) != "" {
			return Errorf(connect.CodePermissionDenied, ReasonScopeMissing, "Leave discard out, or use a key that may work on files.",
				"what is to persist is given up only by whoever may use %s", saveTool)
		}
		sess.saves.given.Store(true)
		return nil
	}
	sess.saves.making.Lock()
	defer sess.saves.making.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if sess.sandbox != nil && sess.lostBecause() == nil {
		if err := s.save(ctx, sess); err != nil && sess.lostBecause() == nil {
			return notDeleted(err)
		}
	}
	return nil
}

// notDeleted is the error for a session that goes on, as its files could not be saved.
func notDeleted(err error) error {
	known, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	told := connect.NewError(known.Code(),
		fmt.Errorf("the session's files could not be saved, so that it was not deleted (discard gives them up): %s", known.Message()))
	for _, detail := range known.Details() {
		told.AddDetail(detail)
	}
	return told
}

// waitForCalls waits for the calls that run, for a while.
func (sess *session) waitForCalls() {
	timeout := time.NewTimer(lastCalls)
	defer timeout.Stop()
	look := time.NewTicker(lastCalls / 100)
	defer look.Stop()
	for sess.active.Load() > 0 {
		select {
		case <-look.C:
		case <-timeout.C:
			return
		}
	}
}
