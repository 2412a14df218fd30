package main

import (
	"context"
	"regexp"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Bounds of a check.
const (
	orphanTimeout = 5 * time.Second
	endTimeout    = 20 * time.Second // within which a call that runs on must end
	parallel      = 8
	// Every so many lives, orphans are looked for so late.
	lateEvery  = 10
	late       = 2 * time.Second
	checkEvery = 20 * time.Millisecond
)

// check holds a gateway that has just started against what clients of the one before were promised.
func (t *trial) check(ctx context.Context) {
	running, lost := map[string]bool{}, map[string]bool{}
	for _, client := range t.clients {
		alive, dead, err := client.Running(ctx)
		if err != nil {
			t.figures.broken("%v", err)
			return
		}
		for _, session := range alive {
			running[session.GetId()] = true
		}
		for _, session := range dead {
			lost[session.GetId()] = true
		}
	}
	t.orphans(ctx, len(running))
	inParallel(t.ledger.open(), func(c *call) { t.settle(ctx, c) })
	inParallel(t.ledger.all(), func(s *session) { t.judge(ctx, s, running[s.id], lost[s.id]) })
	for _, client := range t.clients {
		t.unclaimed(ctx, client)
	}
}

// inParallel does something with each of a list.
func inParallel[T any](all []T, do func(T)) {
	var group sync.WaitGroup
	tokens := make(chan struct{}, parallel)
	for _, one := range all {
		tokens <- struct{}{}
		group.Go(func() {
			defer func() { <-tokens }()
			do(one)
		})
	}
	group.Wait()
}

// orphans waits until there is one container of earlier lives for each session, and no other. The
// engine may finish one a moment after the gateway was killed that asked for it; so the look comes late
// in some lives.
func (t *trial) orphans(ctx context.Context, sessions int) {
	if t.chance.IntN(lateEvery) == 0 {
		pause(ctx, late)
	}
	left := 0
	for deadline := time.Now().Add(orphanTimeout); ; pause(ctx, checkEvery) {
		found, err := t.gateway.Containers(ctx)
		if err != nil {
			t.figures.broken("%v", err)
			return
		}
		left = -sessions
		for _, one := range found {
			if one.Made.Before(t.gateway.Started()) {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			break
		}
	}
	t.figures.count(func(f *figures) { f.orphans += max(0, left) })
	t.figures.broken("%d containers of earlier lives more than there are sessions, %s after a start", left, orphanTimeout)
}

// row reads a call until it has ended.
func (t *trial) row(ctx context.Context, c *call) (*sandgatev1.GetCallResponse, error) {
	for deadline := time.Now().Add(endTimeout); ; pause(ctx, checkEvery) {
		got, err := c.client.Calls.GetCall(ctx, &sandgatev1.GetCallRequest{Id: c.request.GetCallId()})
		if err != nil || got.GetCall().GetState() != sandgatev1.CallState_CALL_STATE_RUNNING || time.Now().After(deadline) {
			return got, err
		}
	}
}

// settle finds out what became of a call, and makes it again: it must not run again.
func (t *trial) settle(ctx context.Context, c *call) {
	id := c.request.GetCallId()
	t.figures.count(func(f *figures) { f.sent++; f.repeated++ })
	row, err := t.row(ctx, c)
	accepted := connect.CodeOf(err) != connect.CodeNotFound
	switch {
	case err != nil && accepted:
		t.figures.broken("call %s: GetCall: %v", id, err)
		return
	case !accepted && c.reply != nil:
		t.figures.broken("call %s was answered and is not known", id)
	}
	if accepted {
		t.figures.count(func(f *figures) { f.accepted++ })
	}
	again, err := c.client.Tools.CallTool(ctx, c.request)
	switch state := row.GetCall().GetState(); {
	case !accepted: // it has run for the first time now, if its session lives
		t.terminal(ctx, c)
	case state == sandgatev1.CallState_CALL_STATE_ENDED:
		t.figures.count(func(f *figures) { f.ended++ })
		t.same(c, row, again, err)
	case state == sandgatev1.CallState_CALL_STATE_LOST:
		t.figures.count(func(f *figures) { f.lost++ })
		if c.reply != nil || c.drained {
			t.figures.broken("call %s is lost; answered before: %t, drained: %t", id, c.reply != nil, c.drained)
		}
		if connect.CodeOf(err) != connect.CodeAborted {
			t.figures.broken("call %s is lost, and made again it says: %v", id, err)
		}
	default:
		t.figures.broken("call %s is %s %s after a start", id, state, endTimeout)
	}
	if err == nil && c.counts && again.GetStatus() == sandgatev1.Status_STATUS_OK {
		if n := countIn(again); n != 1 {
			t.figures.count(func(f *figures) { f.doubled++ })
			t.figures.broken("call %s says that it ran %d times", id, n)
		}
		c.session.ran(id, c.request.GetName() == "python_run")
	}
}

// terminal holds that a call which was made a moment ago has ended.
func (t *trial) terminal(ctx context.Context, c *call) {
	row, err := t.row(ctx, c)
	if state := row.GetCall().GetState(); err != nil || state != sandgatev1.CallState_CALL_STATE_ENDED {
		t.figures.broken("call %s, made again, is %s: %v", c.request.GetCallId(), state, err)
	}
}

// same holds that a call which has ended says the same to whoever asks.
func (t *trial) same(c *call, row *sandgatev1.GetCallResponse, again *sandgatev1.CallToolResponse, err error) {
	id := c.request.GetCallId()
	if c.reply != nil && !proto.Equal(c.reply, row.GetResult()) {
		t.figures.broken("call %s was answered with %v and is kept with %v", id, c.reply, row.GetResult())
	}
	if failure := row.GetCall().GetError(); failure != nil {
		if connect.CodeOf(err).String() != failure.GetCode() {
			t.figures.broken("call %s ended in %s, and made again it says: %v", id, failure.GetCode(), err)
		}
		return
	}
	if err != nil || !proto.Equal(again, row.GetResult()) {
		t.figures.broken("call %s is kept with %v, and made again it says %v: %v", id, row.GetResult(), again, err)
	}
}

// countPattern is what cells and scripts say of how often they ran.
const countPattern = `count=(\d+)`

// countIn reads how often a call says that it ran. Zero: it does not say.
func countIn(reply *sandgatev1.CallToolResponse) int {
	pattern := regexp.MustCompile(countPattern)
	for _, content := range reply.GetContent() {
		if found := pattern.FindStringSubmatch(content.GetText()); found != nil {
			n, err := strconv.Atoi(found[1])
			if err == nil {
				return n
			}
		}
	}
	return 0
}
