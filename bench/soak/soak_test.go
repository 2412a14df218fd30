package main

import (
	"strings"
	"testing"
)

// flat are samples of a gateway that holds nothing it should not.
func flat() []sample {
	var all []sample
	for _, part := range parts() {
		all = append(all, sample{
			when: part.name, calls: 200 * part.percent, rss: 50 * mib, files: 40, goroutines: 200, state: float64(part.percent) * 200 * 1000,
		})
	}
	return all
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(end *sample)
		want   string // in the error; empty: none
	}{
		{"flat", func(*sample) {}, ""},
		{"a little more", func(end *sample) { end.rss += 8 * mib; end.files += 5; end.goroutines += 20 }, ""},
		{"memory", func(end *sample) { end.rss *= 1.5 }, "memory went"},
		{"descriptors", func(end *sample) { end.files += 20 }, "descriptors went"},
		{"goroutines", func(end *sample) { end.goroutines += 50 }, "goroutines went"},
		{"disk", func(end *sample) { end.layers += 2 * mib }, "containers have written"},
		{"state", func(end *sample) { end.state += 100 * mib }, "state went"},
		{"a container", func(end *sample) { end.containers++ }, "end: 1 containers more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			samples := flat()
			test.change(&samples[len(samples)-1])
			err := judge(samples)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v, want an error with %q", err, test.want)
			}
		})
	}
}
