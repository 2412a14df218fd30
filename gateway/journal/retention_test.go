package journal

import (
	"testing"
	"time"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	type look struct {
		after, jump time.Duration // since the look before; how far the wall clock was set
		ok          bool
	}
	for _, test := range []struct {
		name  string
		looks []look
	}{
		{"a steady clock", []look{{0, 0, true}, {sweepEvery, 0, true}, {sweepEvery, 0, true}}},
		{"a clock that is a little wrong", []look{{0, 0, true}, {sweepEvery, 2 * time.Second, true}, {sweepEvery, -2 * time.Second, true}}},
		{"set an hour on", []look{{0, 0, true}, {sweepEvery, time.Hour, false}, {sweepEvery, 0, false}, {keepFor, 0, true}}},
		{"set a year on", []look{{0, 0, true}, {sweepEvery, 365 * keepFor, false}, {keepFor - time.Second, 0, false}, {time.Second, 0, true}}},
		{"set on twice", []look{{0, 0, true}, {sweepEvery, time.Hour, false}, {keepFor / 2, time.Hour, false}, {keepFor / 2, 0, false}, {keepFor, 0, true}}},
		{"set back", []look{{0, 0, true}, {sweepEvery, -time.Hour, true}, {sweepEvery, -365 * keepFor, true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var r retention
			wall, steady := time.Unix(1_800_000_000, 0), time.Duration(0)
			for i, look := range test.looks {
				steady += look.after
				wall = wall.Add(look.after + look.jump)
				before, ok := r.cutoff(wall, steady)
				if ok != look.ok || !before.Equal(wall.Add(-keepFor)) {
					t.Errorf("look %d: %t, before %s; want %t", i, ok, before, look.ok)
				}
			}
		})
	}
}
