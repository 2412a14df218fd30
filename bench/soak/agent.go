package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/sandgate/sandgate/bench/rig"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// churn is how many calls an agent makes in a session, about, before it takes another.
const churn = 150

// agent is one client with a session of its own. It is used by one goroutine at a time.
type agent struct {
	client   *rig.Client
	session  string // empty: it needs one
	calls    int
	failed   int
	made     int // sessions
	firstErr error
}

// work makes so many calls.
func (a *agent) work(ctx context.Context, calls int) {
	for range calls {
		if ctx.Err() != nil {
			return
		}
		a.calls++
		if err := a.step(ctx); err != nil {
			a.failed++
			if a.firstErr == nil {
				a.firstErr = err
			}
		}
	}
}

// step makes one call, now and then two or three that belong together.
func (a *agent) step(ctx context.Context) error {
	if a.session == "" {
		return a.create(ctx)
	}
	id := fmt.Sprintf("c%016x", rand.Uint64()) //nolint:gosec // unique, not secret
	switch n := rand.IntN(churn * 10); {       //nolint:gosec // nothing is hidden by it
	case n < 10:
		return a.end(ctx)
	case n < 40:
		return a.context(ctx, id)
	case n < 500:
		return a.tool(ctx, id, "python_run", "code", "x = 6 * 7\nprint('x' * 200)\nx")
	case n < 750:
		return a.tool(ctx, "", "python_run", "code", "sum(range(1000))")
	case n < 950:
		return a.tool(ctx, id, "shell_run", "command", "echo hello; ls | wc -l")
	case n < 1150:
		return a.tool(ctx, "", "file_write", "path", fmt.Sprintf("file-%d", n%50), "text", id)
	case n < 1350:
		_, err := a.client.Files.ListFiles(ctx, &sandgatev1.ListFilesRequest{SessionId: a.session, Path: "."})
		return err
	case n < 1420:
		_, _, err := a.client.Running(ctx)
		return err
	default:
		_, err := a.client.Calls.ListCalls(ctx, &sandgatev1.ListCallsRequest{SessionId: a.session, PageSize: 10})
		return err
	}
}

func (a *agent) create(ctx context.Context) error {
	reply, err := a.client.Sessions.CreateSession(ctx, &sandgatev1.CreateSessionRequest{Template: "python", Limits: rig.Small()})
	if err != nil {
		return err
	}
	a.session = reply.GetSession().GetId()
	a.made++
	return nil
}

func (a *agent) end(ctx context.Context) error {
	_, err := a.client.Sessions.DeleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: a.session})
	a.session = ""
	return err
}

// context makes a kernel of its own, uses it and deletes it.
func (a *agent) context(ctx context.Context, id string) error {
	_, err := a.client.Python.CreateContext(ctx, &sandgatev1.CreateContextRequest{SessionId: a.session, ContextId: id})
	if err != nil {
		return err
	}
	stream, err := a.client.Python.Run(ctx, &sandgatev1.RunRequest{SessionId: a.session, ContextId: id, Code: "1+1"})
	if err == nil {
		for stream.Receive() {
		}
		err = errors.Join(stream.Err(), stream.Close())
	}
	_, deleteErr := a.client.Python.DeleteContext(ctx, &sandgatev1.DeleteContextRequest{SessionId: a.session, ContextId: id})
	return errors.Join(err, deleteErr)
}

// tool calls a tool, with a call_id where that is not empty.
func (a *agent) tool(ctx context.Context, id, name string, arguments ...string) error {
	reply, err := a.client.Tools.CallTool(ctx, &sandgatev1.CallToolRequest{
		SessionId: a.session, Name: name, Arguments: rig.Arguments(arguments...), CallId: id,
	})
	if err == nil && reply.GetStatus() != sandgatev1.Status_STATUS_OK {
		err = fmt.Errorf("%s ended with %s: %.300v", name, reply.GetStatus(), reply.GetContent())
	}
	return err
}

// together has every agent make its part of so many calls.
func together(ctx context.Context, all []*agent, calls int) {
	var group sync.WaitGroup
	for i, one := range all {
		group.Go(func() { one.work(ctx, (calls+i)/len(all)) })
	}
	group.Wait()
}

// count adds up the calls that were made and those that failed.
func count(all []*agent) (calls, failed int) {
	for _, one := range all {
		calls += one.calls
		failed += one.failed
	}
	return calls, failed
}

// sessions adds up the sessions that were made.
func sessions(all []*agent) int {
	made := 0
	for _, one := range all {
		made += one.made
	}
	return made
}
