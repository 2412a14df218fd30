package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// cleanupTimeout bounds what is done after a command was interrupted.
const cleanupTimeout = 15 * time.Second

// place says in which session a command works.
type place struct {
	session  string // empty: a temporary one
	template string // for a temporary one; empty means python
}

// within calls do with the id of a session. A temporary session is made and deleted around it; any
// session's lease is renewed while do runs, so that somebody may think at a prompt.
func (a *app) within(ctx context.Context, c *client, at place, do func(ctx context.Context, id string) error) error {
	if at.session != "" && at.template != "" {
		return usagef("--template is for a new session, and --session names one that exists")
	}
	entering, stop := signal.NotifyContext(ctx, os.Interrupt) // also for commands that take Ctrl-C
	session, err := enter(entering, c, at)
	interrupted := entering.Err() != nil
	stop()
	if err != nil && interrupted {
		return exitError{code: exitInterrupted}
	}
	if err != nil {
		return err
	}
	if at.session == "" {
		defer a.drop(ctx, c, session.GetId())
	}
	keeper := keepLease(ctx, c, session.GetId(), max(session.GetIdleTimeout().AsDuration()/3, time.Second/3))
	defer keeper.Close()
	return do(ctx, session.GetId())
}

// enter returns the session to work in, a new one where none is named.
func enter(ctx context.Context, c *client, at place) (*sandgatev1.Session, error) {
	if at.session != "" {
		reply, err := c.sessions.GetSession(ctx, &sandgatev1.GetSessionRequest{SessionId: at.session})
		return reply.GetSession(), aboutSession(at.session, err)
	}
	reply, err := c.sessions.CreateSession(ctx, &sandgatev1.CreateSessionRequest{
		Template: at.template,
		Metadata: map[string]string{"made_by": "command line"},
	})
	return reply.GetSession(), inFlags(err)
}

// sessionPrefix is what every session's id begins with.
const sessionPrefix = "ses_"

// aboutSession puts the id into the error for a session that there is not. Others stay.
func aboutSession(id string, err error) error {
	if errorReason(err) != "SESSION_NOT_FOUND" {
		return err
	}
	hint := "it has ended, or its lease ran out; `sandgate session list` shows those that there are"
	if !strings.HasPrefix(id, sessionPrefix) {
		hint = "the id of a session begins with " + sessionPrefix + "; `sandgate session list` shows those that there are"
	}
	return hintError{err: retold{"there is no such session: " + id, err}, hint: hint}
}

// drop deletes a temporary session, also when the command was interrupted.
func (a *app) drop(ctx context.Context, c *client, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if _, err := c.sessions.DeleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: id}); err != nil {
		message, _ := explain(err)
		if noneAnswers(err) || wentAway(err) {
			a.notef("the temporary session %s was left to the gateway, which went away: it ends with that, or by itself", id)
			return
		}
		a.notef("the temporary session %s was not deleted (%s); it ends by itself", id, message)
	}
}

// leaseKeeper renews a session's lease until it is closed.
type leaseKeeper struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// keepLease starts renewing. A renewal that fails is let go: the command's next call says why.
func keepLease(ctx context.Context, c *client, id string, every time.Duration) *leaseKeeper {
	ctx, cancel := context.WithCancel(ctx)
	keeper := &leaseKeeper{cancel: cancel}
	keeper.done.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				_, _ = c.sessions.ExtendSession(ctx, &sandgatev1.ExtendSessionRequest{SessionId: id}) // see above
			}
		}
	})
	return keeper
}

// Close stops renewing and waits for the end of a renewal under way.
func (k *leaseKeeper) Close() {
	k.cancel()
	k.done.Wait()
}
