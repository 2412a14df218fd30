package sandbox

import (
	"errors"
	"fmt"
	"strings"
)

// Sizes in bytes.
const (
	KiB int64 = 1 << 10
	MiB int64 = 1 << 20
	GiB int64 = 1 << 30
)

// Limits bound what everything inside one sandbox may use together. They are plain data: a driver
// turns them into what its engine understands.
type Limits struct {
	// MemoryBytes bounds all memory, files in the workspace included. Zero means 1 GiB.
	MemoryBytes int64
	// CPUMillis is the share of processor time in thousandths of a core. Zero means 1000.
	CPUMillis int32
	// MaxProcesses bounds processes and threads of the user. Zero means 256.
	MaxProcesses int32
	// WorkspaceBytes bounds /home/user. Zero means half of the memory, at most 512 MiB.
	WorkspaceBytes int64
	// WorkspaceFiles bounds how many files and directories /home/user holds. Zero means 100,000.
	WorkspaceFiles int32
}

// DefaultLimits is what a sandbox gets when nothing else is asked for.
func DefaultLimits() Limits {
	return Limits{
		MemoryBytes:    GiB,
		CPUMillis:      1000,
		MaxProcesses:   256,
		WorkspaceBytes: 512 * MiB,
		WorkspaceFiles: 100_000,
	}
}

// minimumLimits is the least with which the guest and one kernel work.
func minimumLimits() Limits {
	return Limits{
		MemoryBytes:    128 * MiB,
		CPUMillis:      50,
		MaxProcesses:   16,
		WorkspaceBytes: MiB,
		WorkspaceFiles: 64,
	}
}

// dataMemory is the least memory with which the template "data" starts, with some to work in. Under
// gVisor its kernel, whose packages are loaded, does not come up in less than 160 MiB.
const dataMemory = 192 * MiB

// Check is [Limits.Check] with what the template needs besides.
func (s Spec) Check(maximum Limits) error {
	err := s.Limits.Check(maximum)
	if s.Template != "data" || s.Limits.MemoryBytes >= dataMemory {
		return err
	}
	short := fmt.Errorf("limits.memory_bytes is %d; the template data needs at least %d", s.Limits.MemoryBytes, dataMemory)
	if err == nil {
		return short
	}
	return fmt.Errorf("%w; %w", err, short)
}

// WithDefaults returns the limits with every zero field filled in.
func (l Limits) WithDefaults() Limits {
	def := DefaultLimits()
	if l.MemoryBytes == 0 {
		l.MemoryBytes = def.MemoryBytes
	}
	if l.CPUMillis == 0 {
		l.CPUMillis = def.CPUMillis
	}
	if l.MaxProcesses == 0 {
		l.MaxProcesses = def.MaxProcesses
	}
	if l.WorkspaceBytes == 0 {
		l.WorkspaceBytes = min(def.WorkspaceBytes, l.MemoryBytes/2)
	}
	if l.WorkspaceFiles == 0 {
		l.WorkspaceFiles = def.WorkspaceFiles
	}
	return l
}

// Check reports every field that is below what works, above the operator's maximum, or at odds with
// another. A zero field of maximum does not bound. Defaults must be filled in before.
func (l Limits) Check(maximum Limits) error {
	least := minimumLimits()
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, field := range []struct {
		name          string
		value, lo, hi int64
	}{
		{"memory_bytes", l.MemoryBytes, least.MemoryBytes, maximum.MemoryBytes},
		{"cpu_millis", int64(l.CPUMillis), int64(least.CPUMillis), int64(maximum.CPUMillis)},
		{"max_processes", int64(l.MaxProcesses), int64(least.MaxProcesses), int64(maximum.MaxProcesses)},
		{"workspace_bytes", l.WorkspaceBytes, least.WorkspaceBytes, maximum.WorkspaceBytes},
		{"workspace_files", int64(l.WorkspaceFiles), int64(least.WorkspaceFiles), int64(maximum.WorkspaceFiles)},
	} {
		if field.value < field.lo {
			add("limits.%s is %d; the least that works is %d", field.name, field.value, field.lo)
		}
		if field.hi > 0 && field.value > field.hi {
			add("limits.%s is %d; this gateway allows at most %d", field.name, field.value, field.hi)
		}
	}
	if l.WorkspaceBytes > l.MemoryBytes/2 {
		add("limits.workspace_bytes is %d, more than half of limits.memory_bytes (%d): files live in memory",
			l.WorkspaceBytes, l.MemoryBytes)
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}
