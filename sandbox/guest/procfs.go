package guest

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A process as /proc shows it.
type procInfo struct {
	pid    int
	groups []int
	rss    int64 // bytes
	peak   int64 // bytes; zero where the runtime does not tell
	zombie bool  // its main thread has ended
	// threads counts its threads, the main one too when that has ended.
	threads int
}

// scanProcs returns all processes but the guest. One that ends meanwhile is left out.
func scanProcs() []procInfo {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	self := os.Getpid()
	procs := make([]procInfo, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == self {
			continue
		}
		if info, ok := readStatus(pid); ok {
			procs = append(procs, info)
		}
	}
	return procs
}

func readStatus(pid int) (procInfo, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return procInfo{}, false
	}
	info := parseStatus(pid, data)
	if info.zombie {
		thread, ok := livingThread(pid)
		info.rss = thread.rss
		return info, ok || info.threads > 1
	}
	return info, true
}

// livingThread returns a thread that outlives the main thread of its process. A process with one is
// no zombie, whatever /proc says of it: it runs on, and can be killed by its pid. gVisor lists no
// threads then; it only counts them.
func livingThread(pid int) (procInfo, bool) {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task"
	entries, _ := os.ReadDir(tasks)
	for _, entry := range entries {
		data, err := os.ReadFile(tasks + "/" + entry.Name() + "/status")
		if err != nil {
			continue
		}
		if thread := parseStatus(pid, data); !thread.zombie {
			return thread, true
		}
	}
	return procInfo{}, false
}

// parseStatus reads the fields of proc_pid_status(5).
func parseStatus(pid int, data []byte) procInfo {
	info := procInfo{pid: pid}
	for line := range bytes.Lines(data) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		fields := strings.Fields(string(value))
		switch string(name) {
		case "State":
			info.zombie = len(fields) > 0 && (fields[0] == "Z" || fields[0] == "X")
		case "Groups":
			for _, field := range fields {
				if id, err := strconv.Atoi(field); err == nil {
					info.groups = append(info.groups, id)
				}
			}
		case "Threads":
			info.threads, _ = strconv.Atoi(strings.TrimSpace(string(value)))
		case "VmRSS":
			info.rss = kibibytes(fields)
		case "VmHWM":
			info.peak = kibibytes(fields)
		}
	}
	return info
}

func kibibytes(fields []string) int64 {
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}

// peakMemory returns the largest resident size of a process, or the present one where the runtime
// does not keep the largest.
func peakMemory(pid int) int64 {
	info, _ := readStatus(pid)
	return max(info.peak, info.rss)
}

// cpuTime returns the processor time of a process, all threads included, without its children. It
// asks the process's own clock: one system call, and finer than /proc. The encoding of a pid as a
// clock is the kernel's, include/linux/posix-timers_types.h.
func cpuTime(pid int) time.Duration {
	const perProcessSched = 2
	var ts unix.Timespec
	if unix.ClockGettime(int32(^pid)<<3|perProcessSched, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// ticksPerSecond is USER_HZ, in which /proc counts time. It is 100 wherever Linux has it fixed.
const ticksPerSecond = 100

// statFields returns the fields of proc_pid_stat(5) behind the command's name, so that index 0 is
// the state, field 3 of the manual.
func statFields(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return parseStat(data)
}

// statPath returns the file of a process that statFields reads.
func statPath(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/stat" }

// threads returns the threads of a process.
func threads(pid int) []int {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil
	}
	defer closeAll(dir)
	names, _ := dir.Readdirnames(maxThreadsSeen)
	all := make([]int, 0, len(names))
	for _, name := range names {
		if id, err := strconv.Atoi(name); err == nil {
			all = append(all, id)
		}
	}
	return all
}

// maxThreadsSeen bounds how many threads of one process are looked at.
const maxThreadsSeen = 4096

func parseStat(data []byte) []string {
	end := bytes.LastIndexByte(data, ')') // the name may hold anything, parentheses too
	if end < 0 {
		return nil
	}
	return strings.Fields(string(data[end+1:]))
}

// childTime returns the processor time of a process's ended and awaited children.
func childTime(pid int) time.Duration {
	fields := statFields(statPath(pid))
	if len(fields) < 15 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[13], 10, 64)
	system, _ := strconv.ParseInt(fields[14], 10, 64)
	return time.Duration(user+system) * (time.Second / ticksPerSecond)
}

// sinceBoot returns where a moment lies on the clock by which /proc tells when processes began, in
// seconds. Zero is before all of them, and what it is where that cannot be told.
func sinceBoot(moment time.Time) float64 {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	uptime, err := strconv.ParseFloat(strings.Fields(string(data) + " x")[0], 64)
	if err != nil {
		return 0
	}
	return max(0, uptime-time.Since(moment).Seconds())
}

// startedSince reports whether a process began at a moment of sinceBoot or after it. What cannot be
// told counts as later.
func startedSince(pid int, moment float64) bool { return beganSince(statPath(pid), moment) }

// beganSince is startedSince for a process or thread with that file of statFields. One that is gone was
// started before.
func beganSince(path string, moment float64) bool {
	fields := statFields(path)
	if len(fields) == 0 {
		return false
	}
	if len(fields) < 20 {
		return true
	}
	start, err := strconv.ParseFloat(fields[19], 64)
	const tick = 2.0 / ticksPerSecond
	return err != nil || start/ticksPerSecond >= moment-tick
}

// hasGroup reports whether a process carries a marker.
func (p procInfo) hasGroup(marker int) bool { return slices.Contains(p.groups, marker) }
