package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The rows about memory and disk: B6 and FLOOD.

const (
	idleFactor  = 1.25
	idleRounds  = 3
	settle      = 3 * time.Second // for the kernel to take back what ended processes held
	samples     = 5
	sampleEvery = 200 * time.Millisecond

	floodBudget = 32.0 // MiB
	mebibyte    = 1 << 20
)

// measureIdle is B6: by how much the machine's available memory drops for each idle session.
func measureIdle(ctx context.Context, r *rig) ([]row, error) {
	sides := []func(ctx context.Context, n int) (func(context.Context) error, error){r.idleBares, r.idleSessions}
	used := make([][]float64, len(sides))
	for round := range idleRounds + 1 {
		n := r.scale.idle
		if round == 0 {
			n = 1 // brings files and buffers into memory
		}
		for i, start := range sides {
			each, err := drop(ctx, n, start)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				used[i] = append(used[i], each)
			}
		}
	}
	got := medians(used)
	if got[0] <= 0 {
		return nil, fmt.Errorf("%d bare guests took %.1f MiB each: too much else went on on this machine", r.scale.idle, got[0])
	}
	what := fmt.Sprintf("idle session, drop of MemAvailable over %d", r.scale.idle)
	return []row{row{What: what, Unit: "MiB", Value: got[1]}.against(got[0]).atMost(idleFactor * got[0])}, nil
}

// drop starts n things, ends them, and returns how many MiB of the available memory each took while it
// was there. Looking both before and after cancels what else grew or shrank meanwhile.
func drop(ctx context.Context, n int, start func(ctx context.Context, n int) (func(context.Context) error, error)) (float64, error) {
	before, err := available(ctx)
	if err != nil {
		return 0, err
	}
	end, err := start(ctx, n)
	if err != nil {
		return 0, err
	}
	during, err := available(ctx)
	if err := errors.Join(err, end(ctx)); err != nil {
		return 0, err
	}
	after, err := available(ctx)
	return ((before+after)/2 - during) / float64(n), err
}

// idleSessions starts sessions that have run one cell each.
func (r *rig) idleSessions(ctx context.Context, n int) (func(context.Context) error, error) {
	sessions := make([]*session, n)
	end := func(ctx context.Context) error {
		errs := make([]error, n+1)
		errs[n] = together(context.WithoutCancel(ctx), n, atOnce, func(ctx context.Context, i int) error {
			if sessions[i] != nil {
				errs[i] = sessions[i].Close(ctx)
			}
			return nil // the others go on
		})
		return errors.Join(errs...)
	}
	err := together(ctx, n, atOnce, func(ctx context.Context, i int) (err error) {
		if sessions[i], err = r.client.create(ctx, &sandgatev1.CreateSessionRequest{}); err != nil {
			return err
		}
		return sessions[i].two(ctx)
	})
	if err != nil {
		return nil, errors.Join(err, end(ctx))
	}
	return end, nil
}

// idleBares starts bare guests that have answered once.
func (r *rig) idleBares(ctx context.Context, n int) (func(context.Context) error, error) {
	guests, err := r.engine.startBares(ctx, r.runtime, n)
	return func(ctx context.Context) error { return closeBares(ctx, guests) }, err
}

// available returns the machine's available memory in MiB, the median of some samples after a while
// of rest. Dirty pages are written first, as they do not count as available.
func available(ctx context.Context) (float64, error) {
	syscall.Sync()
	if err := pause(ctx, settle); err != nil {
		return 0, err
	}
	var seen []float64
	for range samples {
		bytes, err := procBytes("/proc/meminfo", "MemAvailable")
		if err != nil {
			return 0, err
		}
		seen = append(seen, bytes/mebibyte)
		if err := pause(ctx, sampleEvery); err != nil {
			return 0, err
		}
	}
	return median(seen), nil
}

// procBytes reads a value of a file such as /proc/meminfo, in bytes.
func procBytes(path, key string) (float64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return fieldBytes(string(content), key)
}

// fieldBytes finds a line such as "VmRSS:  12 kB" and returns its value in bytes.
func fieldBytes(content, key string) (float64, error) {
	for line := range strings.Lines(content) {
		text, ok := strings.CutPrefix(line, key+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", key, err)
		}
		return kib * 1024, nil
	}
	return 0, fmt.Errorf("there is no %s", key)
}

// floodCode writes that many bytes to stdout, past Python's own buffers.
const floodCode = `
import os
piece = b"x" * 65536
for _ in range(%d):
    os.write(1, piece)
`

// measureFlood lets a cell write far more than anybody wants, and looks at the gateway's memory (its
// peak, against what it had before) and at the engine's disk.
func measureFlood(ctx context.Context, r *rig) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, longCall)
	defer cancel()
	s, err := r.session(ctx, "python")
	if err != nil {
		return nil, err
	}
	if err := repeat(ctx, r.scale.batch, s.two); err != nil { // warms up, output excepted
		return nil, err
	}
	root, err := r.engine.rootDir(ctx)
	if err != nil {
		return nil, err
	}
	status := fmt.Sprintf("/proc/%d/status", r.gateway.pid())
	// The peak is counted from here.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", r.gateway.pid()), []byte("5"), 0o200); err != nil {
		return nil, fmt.Errorf("reset the gateway's peak memory: %w", err)
	}
	memory, err := procBytes(status, "VmRSS")
	if err != nil {
		return nil, err
	}
	disk, err := diskUsed(root)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	got, err := s.run(ctx, fmt.Sprintf(floodCode, r.scale.flood>>16))
	if err != nil {
		return nil, err
	}
	wall := time.Since(start)
	if wrote := got.result.GetStdout().GetTotalBytes(); wrote != int64(r.scale.flood) {
		return nil, fmt.Errorf("the cell wrote %d bytes, and %d were counted", r.scale.flood, wrote)
	}
	peak, err := procBytes(status, "VmHWM")
	if err != nil {
		return nil, err
	}
	diskAfter, err := diskUsed(root)
	what := fmt.Sprintf("%d MiB of stdout in %.1f s: ", r.scale.flood>>20, wall.Seconds())
	return []row{
		row{What: what + "gateway's memory", Unit: "MiB", Value: (peak - memory) / mebibyte}.atMost(floodBudget),
		row{What: what + "engine's disk", Unit: "MiB", Value: (diskAfter - disk) / mebibyte}.atMost(floodBudget),
	}, err
}

// diskUsed returns how many bytes are used on the disk of a folder, written ones only.
func diskUsed(folder string) (float64, error) {
	syscall.Sync()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", folder, err)
	}
	return float64(stat.Blocks-stat.Bfree) * float64(stat.Bsize), nil
}
