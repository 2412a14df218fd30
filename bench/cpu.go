package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clockTicks is how many ticks a second /proc counts in: the same on every Linux that Go runs on.
const clockTicks = 100

// callPath names the programs that take part in a call. gVisor's processes are called exe.
func callPath() []string {
	return []string{"bench", "sandgate", "dockerd", "containerd-shim", "guestd", "floor", "python3", "exe"}
}

// explain prints how much processor time the programs on a call's path used for each call, while work
// made so many of them. It is the whole machine's: others' sandboxes count too.
func (r *rig) explain(ctx context.Context, name string, work func() (calls int, err error)) error {
	before := programTicks()
	calls, err := work()
	if err != nil {
		return err
	}
	if ctx.Err() != nil || calls == 0 {
		return context.Cause(ctx)
	}
	used := spent(before, programTicks())
	var line strings.Builder
	for _, program := range callPath() {
		if ticks := used[program]; ticks > 0 {
			_, _ = fmt.Fprintf(&line, "  %s %.0f", program, float64(ticks)*1e6/clockTicks/float64(calls))
		}
	}
	_, _ = fmt.Fprintf(r.out, "       processor time, µs a call, %s:%s\n", name, line.String())
	return nil
}

// usage is the processor time of one process.
type usage struct {
	program string
	ticks   int64
}

// programTicks returns the processor time of every process, by its id. What ends meanwhile is left out.
func programTicks() map[int]usage {
	found := map[int]usage{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if u, ok := parseStat(string(content)); ok {
			found[pid] = u
		}
	}
	return found
}

// parseStat reads the name and the processor time out of a line of /proc/PID/stat. The name may hold
// anything, so it ends at the last parenthesis.
func parseStat(line string) (usage, bool) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return usage{}, false
	}
	const user, system = 11, 12 // counted from the field after the name
	fields := strings.Fields(line[end+1:])
	if len(fields) <= system {
		return usage{}, false
	}
	u, err := strconv.ParseInt(fields[user], 10, 64)
	if err != nil {
		return usage{}, false
	}
	s, err := strconv.ParseInt(fields[system], 10, 64)
	if err != nil {
		return usage{}, false
	}
	return usage{program: line[open+1 : end], ticks: u + s}, true
}

// spent adds up by program what processes used between two looks.
func spent(before, after map[int]usage) map[string]int64 {
	used := map[string]int64{}
	for pid, now := range after {
		then := before[pid]
		if then.program != now.program {
			then.ticks = 0 // another process has got the id
		}
		if ticks := now.ticks - then.ticks; ticks > 0 {
			used[now.program] += ticks
		}
	}
	return used
}
