package main

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		values []float64
		want   float64
	}{
		"one":       {[]float64{3}, 3},
		"odd":       {[]float64{9, 1, 5}, 5},
		"even":      {[]float64{4, 1, 2, 9}, 3},
		"repeated":  {[]float64{2, 2, 2, 8}, 2},
		"negatives": {[]float64{-4, -2, 0}, -2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := median(test.values); got != test.want {
				t.Errorf("median(%v) = %v, want %v", test.values, got, test.want)
			}
		})
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestStatisticsLeaveTheirInputAlone(t *testing.T) {
	t.Parallel()
	values := []float64{3, 1, 2}
	median(values)
	percentile(values, 50)
	if values[0] != 3 || values[1] != 1 {
		t.Errorf("the values were sorted in place: %v", values)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for name, test := range map[string]struct {
		values  []float64
		p, want float64
	}{
		"lowest":           {hundred, 0, 1},
		"half":             {hundred, 50, 50},
		"all but one":      {hundred, 99, 99},
		"all":              {hundred, 100, 100},
		"few, so the last": {[]float64{1, 2, 3}, 99, 3},
		"single":           {[]float64{7}, 50, 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := percentile(test.values, test.p); got != test.want {
				t.Errorf("percentile(%v) = %v, want %v", test.p, got, test.want)
			}
		})
	}
	if got := percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("a percentile of nothing is %v", got)
	}
}

func TestCompareInterleaves(t *testing.T) {
	t.Parallel()
	var order string
	note := func(name string) action {
		return func(context.Context) error {
			order += name
			return nil
		}
	}
	got, err := compare(t.Context(), 2, 3, note("a"), note("b"))
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	if want := "aaabbbaaabbbaaabbb"; order != want { // a round to warm up, and two
		t.Errorf("ran %s, want %s", order, want)
	}
}

func TestFailuresEndMeasuring(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	fail := func(context.Context) error { return broken }
	forever := func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}
	if _, err := compare(t.Context(), 1, 1, fail); !errors.Is(err, broken) {
		t.Errorf("compare: %v", err)
	}
	if _, err := rate(t.Context(), time.Hour, []action{forever, fail}); !errors.Is(err, broken) {
		t.Errorf("rate: %v", err)
	}
	err := together(t.Context(), 2, 2, func(ctx context.Context, i int) error {
		if i == 0 {
			return broken
		}
		return forever(ctx)
	})
	if !errors.Is(err, broken) {
		t.Errorf("together: %v", err)
	}
}

func TestTogetherBoundsItsWidth(t *testing.T) {
	t.Parallel()
	const width = 3
	var running, most, done atomic.Int32
	err := together(t.Context(), 50, width, func(context.Context, int) error {
		now := running.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		done.Add(1)
		running.Add(-1)
		return nil
	})
	if err != nil || done.Load() != 50 || most.Load() > width {
		t.Errorf("%d ran, %d of them at once, %v", done.Load(), most.Load(), err)
	}
}

func TestPauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
