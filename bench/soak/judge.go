package main

import (
	"errors"
	"fmt"
)

// criterion is what judge holds, in words.
const criterion = "from the quarter to the end, memory grew by less than a tenth and 8 MiB, descriptors and goroutines by less than a " +
	"tenth and 10, containers wrote less than 1 MiB more, the state grew by less than 4 KiB a call (calls are kept for a day), " +
	"and at no time was there a container too many."

// judge returns an error that names what is not flat.
func judge(samples []sample) error {
	var from, to sample
	var errs []error
	for _, s := range samples {
		switch s.when {
		case "quarter":
			from = s
		case "end":
			to = s
		}
		if s.containers != 0 {
			errs = append(errs, fmt.Errorf("%s: %d containers more than sessions and pool", s.when, s.containers))
		}
	}
	for _, one := range []struct {
		what           string
		from, to, most float64
	}{
		{"memory", from.rss, to.rss, from.rss*1.1 + 8*mib},
		{"descriptors", from.files, to.files, from.files*1.1 + 10},
		{"goroutines", from.goroutines, to.goroutines, from.goroutines*1.1 + 10},
		{"what containers have written", from.layers, to.layers, from.layers + mib},
		{"state", from.state, to.state, from.state + 4096*float64(to.calls-from.calls)},
	} {
		if one.to > one.most {
			errs = append(errs, fmt.Errorf("not flat: %s went from %.0f to %.0f, and %.0f is the most", one.what, one.from, one.to, one.most))
		}
	}
	return errors.Join(errs...)
}
