package gateway

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// sessionPrefix begins every session's id, so that one is known when it is seen.
const sessionPrefix = "ses_"

// session is one session in memory. Renewing a lease touches atomics alone, as every call does it.
type session struct {
	id         string
	tenant     string
	sandboxID  string
	sandbox    sandbox.Sandbox // nil for one that was lost before this gateway began
	spec       sandbox.Spec    // defaults filled in
	metadata   map[string]string
	created    time.Time
	hardExpiry time.Time

	idleTimeout atomic.Int64           // nanoseconds
	renewed     atomic.Int64           // nanoseconds after Sessions.base
	active      atomic.Int32           // calls that run now
	calls       atomic.Int64           // since this gateway began
	used        atomic.Int64           // beginnings and ends of calls: what was saved at the same count is all there is
	dirty       atomic.Bool            // the store holds an older lease
	lost        atomic.Pointer[string] // why the sandbox died; nil while it lives

	keeping keeping
	saves   saves

	account  *quota.Account // of its tenant
	metered  metered
	released atomic.Bool // it no longer counts for the account

	ending bool          // guarded by Sessions.mu
	leave  chan struct{} // closed when ending begins
	ended  chan struct{} // closed when nothing is left of it
	endErr error         // why something is; written before ended is closed
}

// owned is what a session is found by. There is no way to find one without saying whose it is, so
// that what is not there and what is somebody else's look alike.
type owned struct{ tenant, id string }

func (sess *session) owned() owned { return owned{sess.tenant, sess.id} }

// newSessionID returns an id with 128 random bits.
func newSessionID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: the program dies first
	return sessionPrefix + base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").
		WithPadding(base32.NoPadding).EncodeToString(random[:])
}

// renew begins a session's lease anew.
func (s *Sessions) renew(sess *session) {
	sess.renewed.Store(int64(time.Since(s.base)))
	if !sess.dirty.Load() {
		sess.dirty.Store(true)
	}
}

// idleExpiry tells when a session ends if nobody uses it from now on.
func (s *Sessions) idleExpiry(sess *session, now time.Time) time.Time {
	timeout := time.Duration(sess.idleTimeout.Load())
	if sess.active.Load() > 0 {
		return now.Add(timeout)
	}
	return s.base.Add(time.Duration(sess.renewed.Load())).Add(timeout)
}

// expiry tells when a session ends.
func (s *Sessions) expiry(sess *session, now time.Time) time.Time {
	idle := s.idleExpiry(sess, now)
	if sess.hardExpiry.Before(idle) {
		return sess.hardExpiry
	}
	return idle
}

// lostBecause returns why a session that is not ending is lost, nil while it is not. It knows a moment before the
// session is marked, so that no call is begun in a sandbox that has ended.
func (sess *session) lostBecause() *string {
	if reason := sess.lost.Load(); reason != nil {
		return reason
	}
	select {
	case <-sess.sandbox.Done():
		reason := sess.withSaved(endOf(sess.sandbox))
		return &reason
	default:
		return nil
	}
}

// endOf tells callers why a sandbox has ended.
func endOf(sb sandbox.Sandbox) string {
	reason := "its sandbox ended"
	if err := sb.Err(); err != nil {
		reason = err.Error()
	}
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return strings.ToValidUTF8(reason, "\uFFFD")
}

// describe returns a session as the API shows it.
func (s *Sessions) describe(sess *session) *sandgatev1.Session {
	s.noteSaved(sess)
	out := &sandgatev1.Session{
		Id:       sess.id,
		Template: sess.spec.Template,
		Limits: &sandgatev1.Limits{
			MemoryBytes:    sess.spec.Limits.MemoryBytes,
			CpuMillis:      sess.spec.Limits.CPUMillis,
			MaxProcesses:   sess.spec.Limits.MaxProcesses,
			WorkspaceBytes: sess.spec.Limits.WorkspaceBytes,
			WorkspaceFiles: sess.spec.Limits.WorkspaceFiles,
		},
		Metadata:      sess.metadata,
		State:         sandgatev1.SessionState_SESSION_STATE_RUNNING,
		CreatedAt:     timestamppb.New(sess.created),
		IdleExpiresAt: timestamppb.New(s.idleExpiry(sess, time.Now())),
		HardExpiresAt: timestamppb.New(sess.hardExpiry),
		IdleTimeout:   durationpb.New(time.Duration(sess.idleTimeout.Load())),
		Runtime:       sess.spec.Runtime,
		Workspace:     sess.keeping.Workspace,
	}
	_, out.Deferred = sess.sandbox.(sandbox.Releaser)
	out.HasSandbox = sess.hasSandbox()
	if at := sess.savedAt(); !at.IsZero() {
		out.SavedAt = timestamppb.New(at)
	}
	if reason := sess.lost.Load(); reason != nil {
		out.State = sandgatev1.SessionState_SESSION_STATE_LOST
		out.LostReason, out.HasSandbox = *reason, false
	}
	return out
}

// kept is what a session is made from, as the store keeps it.
type kept struct {
	sandbox.Spec
	keeping
}

// row returns a session as the store keeps it.
func (s *Sessions) row(sess *session) (store.Session, error) {
	spec, err := json.Marshal(kept{sess.spec, sess.keeping})
	if err != nil {
		return store.Session{}, fmt.Errorf("write a session's spec: %w", err)
	}
	row := store.Session{
		ID:            sess.id,
		Tenant:        sess.tenant,
		SandboxID:     sess.sandboxID,
		Spec:          spec,
		Metadata:      sess.metadata,
		CreatedAt:     sess.created,
		IdleTimeout:   time.Duration(sess.idleTimeout.Load()),
		IdleExpiresAt: s.idleExpiry(sess, time.Now()),
		HardExpiresAt: sess.hardExpiry,
	}
	if reason := sess.lost.Load(); reason != nil {
		row.LostReason = *reason
	}
	return row, nil
}

// fromRow makes a session of what the store kept. Expiries are counted from now on the monotonic
// clock, so that a jump of the wall clock ends nothing from then on. A clock that was set back while no
// gateway ran gives no session more time than it had at first; one that was set forward is time that
// went by.
func (s *Sessions) fromRow(row store.Session, now time.Time) (*session, error) {
	sess := &session{
		id:         row.ID,
		tenant:     row.Tenant,
		sandboxID:  row.SandboxID,
		metadata:   row.Metadata,
		created:    row.CreatedAt,
		hardExpiry: now.Add(min(row.HardExpiresAt.Sub(now), row.HardExpiresAt.Sub(row.CreatedAt))),
		leave:      make(chan struct{}),
		ended:      make(chan struct{}),
	}
	var what kept
	if err := json.Unmarshal(row.Spec, &what); err != nil {
		return nil, fmt.Errorf("read the spec of session %s: %w", shown(row.ID), err)
	}
	sess.spec, sess.keeping = what.Spec, what.keeping
	sess.idleTimeout.Store(int64(row.IdleTimeout))
	unused := min(row.IdleExpiresAt.Sub(now), row.IdleTimeout)
	sess.renewed.Store(int64(now.Add(unused - row.IdleTimeout).Sub(s.base)))
	if row.LostReason != "" {
		sess.lost.Store(&row.LostReason)
	}
	return sess, nil
}
