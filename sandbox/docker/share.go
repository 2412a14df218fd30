package docker

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/sandbox"
)

// leaveOneIn is the part of the processors that are kept free of what was set aside: one in so many.
const leaveOneIn = 8

// maxProcessors bounds what is believed of a list of processors.
const maxProcessors = 1 << 13

// SetCPUShare writes the share to the container's cgroup.
func (c *instance) SetCPUShare(share sandbox.CPUShare) error {
	file, weight := c.counters.weight, share.Weight // the file is known since the first look at the use
	if file == "" {
		return fmt.Errorf("weigh sandbox %s: its cgroup cannot be seen: %w", c.name, errors.ErrUnsupported)
	}
	if filepath.Base(file) == "cpu.weight" { // from 1 to 10,000, as runc converts it
		weight = 1 + (weight-2)*9999/262142
	}
	err := tell(file, strconv.Itoa(weight))
	if err == nil {
		err = setAside(c.counters.cpus, share.Aside)
	}
	if err != nil {
		return fmt.Errorf("weigh sandbox %s: %w", c.name, err)
	}
	return nil
}

// setAside writes to a cpuset.cpus the processors of the cgroup above it, without those that are left
// to others. See cgroups(7), and cpusets.rst and cgroup-v2.rst of the kernel's documentation.
func setAside(file string, aside bool) error {
	above := filepath.Dir(filepath.Dir(file))
	given, err := os.ReadFile(filepath.Join(above, "cpuset.effective_cpus"))
	if errors.Is(err, fs.ErrNotExist) {
		given, err = os.ReadFile(filepath.Join(above, "cpuset.cpus.effective"))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := parseProcessors(string(bytes.TrimSpace(given)))
	if err != nil {
		return err
	}
	if aside && len(all) > 1 {
		all = all[(len(all)+leaveOneIn-1)/leaveOneIn:]
	}
	if err = tell(file, formatProcessors(all)); errors.Is(err, fs.ErrNotExist) {
		return nil // version 2, where the cgroup above does not hand the controller down
	}
	return err
}

// tell writes to a file of a cgroup, which must be there.
func tell(file, value string) error {
	cgroup, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = cgroup.WriteString(value)
	return errors.Join(err, cgroup.Close())
}

// parseProcessors reads the kernel's list of processors, such as 0-3,8.
func parseProcessors(list string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(list, ",") {
		from, to, ranged := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		last := first
		if ranged && err == nil {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last < first || last >= maxProcessors {
			return nil, fmt.Errorf("%q is not a list of processors", list)
		}
		for n := first; n <= last; n++ {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// formatProcessors writes such a list, number by number.
func formatProcessors(all []int) string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ",")
}
