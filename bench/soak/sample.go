package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/sandgate/sandgate/bench/rig"
)

// sample is what the gateway holds while nothing runs.
type sample struct {
	when       string
	calls      int     // made before it
	rss        float64 // bytes, of the gateway's process
	files      float64 // descriptors, likewise
	goroutines float64
	containers int     // of the gateway, beyond its sessions and pool
	state      float64 // bytes on the disk, of the state folder
	layers     float64 // bytes on the disk, of what containers have written beside their tmpfs
}

// parts are when samples are taken: after how many hundredths of the calls. The first part warms up.
func parts() []struct {
	name    string
	percent int
} {
	return []struct {
		name    string
		percent int
	}{{"begin", 0}, {"warm", 10}, {"quarter", 25}, {"half", 50}, {"three quarters", 75}, {"end", 100}}
}

// settle is how long nothing runs before a sample: connections and pools come to rest.
const settle = 3 * time.Second

// inParts makes the calls and takes the samples.
func inParts(ctx context.Context, gateway *rig.Gateway, all []*agent, calls int) ([]sample, error) {
	var samples []sample
	made := 0
	for _, part := range parts() {
		upTo := calls * part.percent / 100
		together(ctx, all, upTo-made)
		made = upTo
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			return samples, context.Cause(ctx)
		}
		one, err := take(ctx, gateway, all)
		if err != nil {
			return samples, err
		}
		one.when, one.calls = part.name, made
		samples = append(samples, one)
	}
	return samples, nil
}

// take looks at the gateway.
func take(ctx context.Context, gateway *rig.Gateway, all []*agent) (sample, error) {
	var s sample
	var errs []error
	for series, to := range map[string]*float64{
		"process_resident_memory_bytes": &s.rss, "process_open_fds": &s.files, "go_goroutines": &s.goroutines,
	} {
		var err error
		if *to, err = gateway.Gauge(ctx, series); err != nil {
			errs = append(errs, err)
		}
	}
	found, err := gateway.Containers(ctx)
	errs = append(errs, err)
	s.containers = len(found) - pool
	for _, one := range all {
		if one.session != "" {
			s.containers--
		}
	}
	s.state, err = size(gateway.StateDir())
	errs = append(errs, err)
	s.layers, err = gateway.Written(ctx)
	errs = append(errs, err)
	return s, errors.Join(errs...)
}

// size adds up the files of a folder.
func size(folder string) (float64, error) {
	total := 0.0
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file of the database that comes and goes
		}
		if err == nil {
			total += float64(info.Size())
		}
		return err
	})
	return total, err
}

const mib = 1 << 20

// printTable writes the samples.
func printTable(out io.Writer, samples []sample) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\tcalls\tRSS, MiB\tdescriptors\tgoroutines\tcontainers too many\tstate, MiB\twritten by containers, MiB\t")
	for _, s := range samples {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%.1f\t%.0f\t%.0f\t%d\t%.1f\t%.1f\t\n",
			s.when, s.calls, s.rss/mib, s.files, s.goroutines, s.containers, s.state/mib, s.layers/mib)
	}
	_ = table.Flush() // out is a terminal or a test's buffer
}
