package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sandgate/sandgate/sandbox"
)

// The files in which the kernel counts what a cgroup uses: see cgroups(7), and for version 1 cpuacct.rst
// and memory.rst of the kernel's documentation.
const (
	cgroupRoot   = "/sys/fs/cgroup"
	maxCountFile = 4096
)

// counters are the files of a container's cgroup. All empty: the engine is asked.
type counters struct {
	cpu, memory, weight string
	cpus                string // the processors that it may run on; the file may be missing
}

// Usage returns what the container uses. The kernel's own files are read where they can be seen, which
// costs microseconds; a gateway that is in a container itself asks the engine.
func (c *instance) Usage(ctx context.Context) (sandbox.Usage, error) {
	c.countersOnce.Do(func() { c.counters = c.findCounters(ctx) })
	if c.counters.cpu == "" {
		return c.askUsage(ctx)
	}
	cpu, err := readCPU(c.counters.cpu)
	if err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of sandbox %s: %w", c.name, err)
	}
	memory, err := readNumber(c.counters.memory)
	if err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of sandbox %s: %w", c.name, err)
	}
	return sandbox.Usage{CPU: cpu, MemoryBytes: memory}, nil
}

// findCounters finds the container's cgroup: where engines put it, or else by its first process. The
// engine's word for the process is not taken: its cgroup must have the container's id in its name.
func (c *instance) findCounters(ctx context.Context) counters {
	parent := c.driver.options.CgroupParent
	if parent == "" {
		parent = "docker"
	}
	for _, place := range []string{filepath.Join(parent, c.id), filepath.Join("system.slice", "docker-"+c.id+".scope")} {
		if found := countersAt(map[string]string{"cpuacct": place, "cpu": place, "cpuset": place, "memory": place, "": place}); found.fit(c.id) {
			return found
		}
	}
	found, err := c.driver.engine.ContainerInspect(ctx, c.id)
	if err != nil || found.State == nil || found.State.Pid <= 0 {
		return counters{}
	}
	file, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", found.State.Pid))
	if err != nil || len(file) > maxCountFile {
		return counters{}
	}
	if found := countersAt(cgroupsOf(string(file), c.id)); found.fit(c.id) {
		return found
	}
	return counters{}
}

// countersAt returns the files of the version that the host has.
func countersAt(place map[string]string) counters {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cpuacct")); err == nil {
		return counters{
			cpu:    filepath.Join(cgroupRoot, "cpuacct", place["cpuacct"], "cpuacct.usage"),
			memory: filepath.Join(cgroupRoot, "memory", place["memory"], "memory.usage_in_bytes"),
			weight: filepath.Join(cgroupRoot, "cpu", place["cpu"], "cpu.shares"),
			cpus:   filepath.Join(cgroupRoot, "cpuset", place["cpuset"], "cpuset.cpus"),
		}
	}
	return counters{
		cpu:    filepath.Join(cgroupRoot, place[""], "cpu.stat"),
		memory: filepath.Join(cgroupRoot, place[""], "memory.current"),
		weight: filepath.Join(cgroupRoot, place[""], "cpu.weight"),
		cpus:   filepath.Join(cgroupRoot, place[""], "cpuset.cpus"),
	}
}

// fit tells whether the files are there and those of a container.
func (c counters) fit(id string) bool {
	_, cpuErr := readCPU(c.cpu)
	_, memoryErr := readNumber(c.memory)
	return strings.Contains(c.cpu, id) && strings.Contains(c.memory, id) && strings.Contains(c.weight, id) && errors.Join(cpuErr, memoryErr) == nil
}

// cgroupsOf reads the lines of a /proc/PID/cgroup, `4:cpu,cpuacct:/docker/ID`, by controller: empty for
// version 2. Paths without the id are left out.
func cgroupsOf(file, id string) map[string]string {
	at := map[string]string{}
	for line := range strings.Lines(file) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || !strings.Contains(fields[2], id) {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			at[controller] = filepath.Clean("/" + fields[2])
		}
	}
	return at
}

// readCPU reads processor time: nanoseconds of version 1, `usage_usec N` of version 2.
func readCPU(path string) (time.Duration, error) {
	if filepath.Base(path) != "cpu.stat" {
		n, err := readNumber(path)
		return time.Duration(n), err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("usage_usec ")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return time.Duration(n) * time.Microsecond, err
		}
	}
	return 0, fmt.Errorf("%s has no usage_usec", path)
}

func readNumber(path string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
}

// askUsage asks the engine, once.
func (c *instance) askUsage(ctx context.Context) (sandbox.Usage, error) {
	reply, err := c.driver.engine.ContainerStatsOneShot(ctx, c.id)
	if err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of sandbox %s: %w", c.name, err)
	}
	defer func() { _ = reply.Body.Close() }()
	var stats container.StatsResponse
	if err := json.NewDecoder(reply.Body).Decode(&stats); err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of sandbox %s: %w", c.name, err)
	}
	return sandbox.Usage{
		CPU: time.Duration(stats.CPUStats.CPUUsage.TotalUsage), MemoryBytes: int64(stats.MemoryStats.Usage), Asked: true,
	}, nil
}
