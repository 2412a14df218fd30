package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The rows about making things: B3, B4, B5 and BURST.

const (
	warmPool     = 2                      // sandboxes kept ready for B3: what a gateway keeps by default
	warmBudget   = 3.0                    // ms, p50
	warmSlowest  = 10.0                   // ms, p99
	calm         = 100 * time.Millisecond // between things that are to be measured at rest
	coldFactor   = 1.15
	contextLimit = 5.0 // ms

	contextsInRow = 8 // made without a pause; a session may hold 16
)

// measureWarm is B3: sessions taken from a full pool.
func measureWarm(ctx context.Context, r *rig) ([]row, error) {
	const warmUp = 5
	var times []float64
	for i := range r.scale.creations + warmUp {
		if err := r.gateway.waitFull(ctx, warmPool); err != nil {
			return nil, err
		}
		if err := pause(ctx, calm); err != nil {
			return nil, err
		}
		var s *session
		took, err := timed(ctx, func(ctx context.Context) (err error) {
			s, err = r.session(ctx, "")
			return err
		})
		if err != nil {
			return nil, err
		}
		if err := errors.Join(s.two(ctx), s.Close(ctx)); err != nil {
			return nil, err
		}
		if i >= warmUp {
			times = append(times, took)
		}
	}
	return []row{
		row{What: "create a session from the pool, p50", Unit: "ms", Value: median(times)}.atMost(warmBudget),
		row{What: "create a session from the pool, p99", Unit: "ms", Value: percentile(times, 99)}.atMost(warmSlowest),
	}, nil
}

// measureCold is B4: a session made from nothing, with its first result, against `docker run`.
func measureCold(ctx context.Context, r *rig) ([]row, error) {
	cold := func(ctx context.Context) error {
		s, err := r.session(ctx, "python")
		if err != nil {
			return err
		}
		return s.two(ctx)
	}
	floor := func(ctx context.Context) error { return r.engine.bareRun(ctx, r.runtime) }
	got, err := compare(ctx, r.scale.cold, 1, floor, cold)
	if err != nil {
		return nil, err
	}
	what := "create a session cold, first result included, p50"
	return []row{row{What: what, Unit: "ms", Value: got[1]}.against(got[0]).atMost(coldFactor * got[0])}, nil
}

// forkCode times forks of the kernel that it runs in, and shows the median in milliseconds.
const forkCode = `
import os, statistics, time
import numpy, pandas
def fork():
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return (time.perf_counter() - began) * 1000
statistics.median(fork() for _ in range(20))
`

// measureContext is B5: one more kernel with numpy and pandas imported, against a fork of such a one.
// It is measured at two paces: as an agent asks, now and then, and as fast as answers come.
func measureContext(ctx context.Context, r *rig) ([]row, error) {
	s, err := r.session(ctx, "data")
	if err != nil {
		return nil, err
	}
	var calmly, quickly, floors []float64
	for i := range r.scale.contexts + 1 {
		if err := pause(ctx, calm); err != nil { // the kernels of the last round are still being reaped
			return nil, err
		}
		floor, err := s.fork(ctx)
		if err != nil {
			return nil, err
		}
		slow, err := s.contexts(ctx, 1)
		if err != nil {
			return nil, err
		}
		fast, err := s.contexts(ctx, contextsInRow)
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first warms up
			floors, calmly, quickly = append(floors, floor), append(calmly, slow...), append(quickly, fast...)
		}
	}
	result := func(pace string, times []float64) row {
		what := "new context with numpy, pandas, p50: " + pace
		return row{What: what, Unit: "ms", Value: median(times)}.against(median(floors)).atMost(contextLimit)
	}
	return []row{result("now and then", calmly), result("back to back", quickly)}, nil
}

// contexts waits a moment, makes n contexts without a pause, and deletes them again. It returns how
// long each took to make, in milliseconds.
func (s *session) contexts(ctx context.Context, n int) ([]float64, error) {
	if err := pause(ctx, calm); err != nil {
		return nil, err
	}
	times := make([]float64, 0, n)
	for i := range n {
		request := &sandgatev1.CreateContextRequest{SessionId: s.id, ContextId: contextName(i)}
		took, err := timed(ctx, func(ctx context.Context) error {
			_, err := s.python.CreateContext(ctx, request)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("create a context: %w", err)
		}
		times = append(times, took)
	}
	for i := range n {
		request := &sandgatev1.DeleteContextRequest{SessionId: s.id, ContextId: contextName(i)}
		if _, err := s.python.DeleteContext(ctx, request); err != nil {
			return nil, fmt.Errorf("delete a context: %w", err)
		}
	}
	return times, nil
}

func contextName(i int) string { return fmt.Sprintf("bench-%d", i) }

// fork returns the median time of a fork inside the session, in milliseconds.
func (s *session) fork(ctx context.Context) (float64, error) {
	got, err := s.run(ctx, forkCode)
	if err != nil {
		return 0, err
	}
	took, err := strconv.ParseFloat(got.text, 64)
	if err != nil {
		return 0, fmt.Errorf("time forks: %w", err)
	}
	return took, nil
}

// measureBurst asks for many sessions at once. The budget is that every one is answered.
func measureBurst(ctx context.Context, r *rig) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, longCall)
	defer cancel()
	n := r.scale.burst
	times := make([]float64, n)
	errs := make([]error, n)
	err := together(ctx, n, n, func(ctx context.Context, i int) error {
		times[i], errs[i] = timed(ctx, func(ctx context.Context) error {
			_, err := r.client.create(ctx, &sandgatev1.CreateSessionRequest{Limits: smallLimits()})
			return err
		})
		return nil // the others go on
	})
	answered := 0
	for _, each := range errs {
		if each == nil {
			answered++
		}
	}
	if answered < n {
		_, _ = fmt.Fprintf(r.out, "       the first refusal: %v\n", firstError(errs))
	}
	what := fmt.Sprintf("%d sessions at once, %d answered: ", n, answered)
	return []row{
		{What: what + "p50", Unit: "ms", Value: median(times), Met: answered == n},
		{What: what + "the last", Unit: "ms", Value: percentile(times, 100), Met: answered == n},
	}, err
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
