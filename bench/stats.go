package main

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// median returns the middle value, the mean of the two middle ones where there is none, and NaN for
// an empty list.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the smallest value that at least p per cent of the values do not exceed, and
// NaN for an empty list.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// millis is a duration as the reports give it.
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// action is something whose time or rate is measured.
type action func(ctx context.Context) error

// timed returns how many milliseconds an action took.
func timed(ctx context.Context, do action) (float64, error) {
	start := time.Now()
	err := do(ctx)
	return millis(time.Since(start)), err
}

// compare runs a batch of each action in turn, round after round, so that whatever else the machine
// does falls on all of them alike. It returns for each action the median, in milliseconds, over the
// rounds' medians. A first round warms up and does not count.
func compare(ctx context.Context, rounds, batch int, actions ...action) ([]float64, error) {
	perRound := make([][]float64, len(actions))
	for round := range rounds + 1 {
		for i, do := range actions {
			times := make([]float64, 0, batch)
			for range batch {
				took, err := timed(ctx, do)
				if err != nil {
					return nil, err
				}
				times = append(times, took)
			}
			if round > 0 {
				perRound[i] = append(perRound[i], median(times))
			}
		}
	}
	return medians(perRound), nil
}

// medians returns the median of each series.
func medians(series [][]float64) []float64 {
	found := make([]float64, 0, len(series))
	for _, values := range series {
		found = append(found, median(values))
	}
	return found
}

// rate repeats every action in a goroutine of its own for the length of the window, and returns how
// many a second ended well. The first failure ends it.
func rate(ctx context.Context, window time.Duration, actions []action) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for _, do := range actions {
		all.Go(func() {
			for ctx.Err() == nil && time.Since(start) < window {
				if err := do(ctx); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

// together runs do for every index below n, at most width at once, and returns the first failure.
func together(ctx context.Context, n, width int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, width)
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
