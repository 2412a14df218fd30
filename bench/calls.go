package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The rows about calls in a warm session: B1, B2 and B8.

const (
	callFactor   = 2   // B1: of the floor, at most
	rateFactor   = 0.5 // B2: of the floor, at least
	rateSessions = 8
	fileBudget   = 1.0 // ms
	fileBytes    = 1 << 10
)

// measureCall is B1: the time of python_run("1+1"), by both of the doors.
func measureCall(ctx context.Context, r *rig) (_ []row, err error) {
	s, err := r.session(ctx, "python")
	if err != nil {
		return nil, err
	}
	floor, err := r.engine.startBare(ctx, r.runtime)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.Close(ctx)) }()
	got, err := compare(ctx, r.scale.rounds, r.scale.batch, floor.eval, s.two, s.callTwo)
	if err != nil {
		return nil, err
	}
	if r.cpu {
		if err := r.explainCall(ctx, s, floor); err != nil {
			return nil, err
		}
	}
	call := func(door string, value float64) row {
		return row{What: `python_run("1+1"), p50: ` + door, Unit: "ms", Value: value}.against(got[0]).atMost(callFactor * got[0])
	}
	return []row{call("PythonService.Run", got[1]), call("ToolService.CallTool", got[2])}, nil
}

// explainCall says what each part of a call costs.
func (r *rig) explainCall(ctx context.Context, s *session, floor *bare) error {
	n := r.scale.rounds * r.scale.batch
	inside, err := s.inside(ctx, n)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(r.out, "       in the guest, as the receipt says: %.3f ms\n", inside)
	for _, x := range []struct {
		name string
		do   action
	}{{"floor", floor.eval}, {"Run", s.two}, {"CallTool", s.callTwo}} {
		if err := r.explain(ctx, x.name, func() (int, error) { return n, repeat(ctx, n, x.do) }); err != nil {
			return err
		}
	}
	return nil
}

// repeat does something n times.
func repeat(ctx context.Context, n int, do action) error {
	for range n {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// measureRate is B2: calls a second over several sessions, each with a client of its own.
func measureRate(ctx context.Context, r *rig) (_ []row, err error) {
	floors, err := r.engine.startBares(ctx, r.runtime, rateSessions)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeBares(ctx, floors)) }()
	actions := make([][]action, 2)
	for _, floor := range floors {
		actions[0] = append(actions[0], floor.eval)
		c := r.gateway.dial(measured)
		defer c.http.CloseIdleConnections()
		s, err := c.create(ctx, &sandgatev1.CreateSessionRequest{})
		if err != nil {
			return nil, err
		}
		actions[1] = append(actions[1], s.two)
	}
	rates := make([][]float64, len(actions))
	for round := range r.scale.rounds + 1 {
		for i, side := range actions {
			each, err := rate(ctx, r.scale.window, side)
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first warms up
				rates[i] = append(rates[i], each)
			}
		}
	}
	if r.cpu {
		for i, name := range []string{"floor", "Run"} {
			if err := r.explain(ctx, name, func() (int, error) {
				each, err := rate(ctx, r.scale.window, actions[i])
				return int(each * r.scale.window.Seconds()), err
			}); err != nil {
				return nil, err
			}
		}
	}
	got := medians(rates)
	what := fmt.Sprintf("the same over %d sessions", rateSessions)
	return []row{row{What: what, Unit: "calls/s", Value: got[1]}.against(got[0]).atLeast(rateFactor * got[0])}, nil
}

// measureFiles is B8: a small file written and read.
func measureFiles(ctx context.Context, r *rig) (_ []row, err error) {
	s, err := r.session(ctx, "python")
	if err != nil {
		return nil, err
	}
	floor, err := r.engine.startBare(ctx, r.runtime)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.Close(ctx)) }()
	content := bytes.Repeat([]byte{0xff}, fileBytes) // not text, so it travels as it is
	const path = "bench.bin"
	write := func(ctx context.Context) error {
		_, err := s.files.Write(ctx, &sandgatev1.WriteRequest{
			SessionId: s.id, Path: path, Content: &sandgatev1.WriteRequest_Data{Data: content},
		})
		return err
	}
	read := func(ctx context.Context) error {
		reply, err := s.files.Read(ctx, &sandgatev1.ReadRequest{SessionId: s.id, Path: path})
		if err == nil && !bytes.Equal(reply.GetData(), content) {
			err = errors.New("a file came back changed")
		}
		return err
	}
	echo := func(ctx context.Context) error { return floor.echo(ctx, content) }
	got, err := compare(ctx, r.scale.rounds, r.scale.batch, echo, write, read)
	if err != nil {
		return nil, err
	}
	return []row{
		row{What: "write a file of 1 KiB, p50", Unit: "ms", Value: got[1]}.against(got[0]).atMost(fileBudget),
		row{What: "read a file of 1 KiB, p50", Unit: "ms", Value: got[2]}.against(got[0]).atMost(fileBudget),
	}, nil
}
