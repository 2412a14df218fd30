package main

import (
	"context"
	"errors"
	"sync"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The row about a tenant that wants to be left alone: QUIET.

const (
	quietFactor = 1.5 // of its idle p99, at most
	quietPause  = 3 * time.Millisecond
	noiseFor    = 20 * time.Second // a cell at most
)

// noises are what a bad neighbour runs, one a session, again and again.
func noises() []string {
	return []string{`
import os, time
end = time.time() + 5
while time.time() < end:
    try:
        if os.fork() == 0:
            while time.time() < end: pass
            os._exit(0)
    except OSError: time.sleep(.01)`, `
import time
end = time.time() + 5
while time.time() < end: print("x" * 8191)`, `
import threading, time
end = time.time() + 5
def spin():
    while time.time() < end: pass
for t in [threading.Thread(target=spin) for _ in range(8)]: t.start()`, `
import os, time
end = time.time() + 5
while time.time() < end:
    b = bytearray(os.urandom(1 << 16)) * 512`}
}

// measureQuiet is the latency of one tenant while another does its worst in four sessions, beside that
// of an idle gateway.
func measureQuiet(ctx context.Context, r *rig) (_ []row, err error) {
	s, err := r.session(ctx, "python")
	if err != nil {
		return nil, err
	}
	if _, err := r.quiet(ctx, s, r.scale.batch); err != nil { // to warm up
		return nil, err
	}
	idle, err := r.quiet(ctx, s, r.scale.rounds*r.scale.batch)
	if err != nil {
		return nil, err
	}
	loudly, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for _, code := range noises() {
		loud, err := r.noise.create(ctx, &sandgatev1.CreateSessionRequest{})
		if err != nil {
			return nil, err
		}
		all.Go(func() {
			for loudly.Err() == nil {
				within, end := context.WithTimeout(loudly, noiseFor)
				_, _ = loud.run(within, code) // how it ends is its own matter
				end()
			}
		})
	}
	if err := pause(ctx, 2*time.Second); err != nil { // until all are at it
		return nil, err
	}
	disturbed, err := r.quiet(ctx, s, r.scale.rounds*r.scale.batch)
	if err != nil {
		return nil, err
	}
	figures := []row{}
	for _, p := range []struct {
		name string
		at   float64
	}{{"p50", 50}, {"p99", 99}} {
		value := row{What: `python_run("1+1") beside a bad neighbour, ` + p.name, Unit: "ms", Value: percentile(disturbed, p.at)}.against(percentile(idle, p.at))
		if p.at == 99 {
			value = value.atMost(quietFactor * percentile(idle, p.at))
		} else {
			value.Met = true // no budget is named
		}
		figures = append(figures, value)
	}
	return figures, nil
}

// quiet makes calls with pauses between them, as an agent does, and returns their times.
func (r *rig) quiet(ctx context.Context, s *session, n int) ([]float64, error) {
	times := make([]float64, 0, n)
	for range n {
		took, err := timed(ctx, s.two)
		if err = errors.Join(err, pause(ctx, quietPause)); err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	return times, nil
}
