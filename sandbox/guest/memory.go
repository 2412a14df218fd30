package guest

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// memoryNote tells the reader what to do about memory.
const memoryNote = "It ran out of the session's memory, in which its files live too. Work on less data at a time, or create a session with a greater memory limit."

// nextLook returns when to look at the memory again: the less is used, the longer it takes to use it
// up, and an idle sandbox should cost nothing.
func nextLook(used, limit int64) time.Duration {
	switch {
	case used < limit/8:
		return 200 * time.Millisecond
	case used < limit/2:
		return 50 * time.Millisecond
	}
	return 10 * time.Millisecond
}

// memoryWatch tells whether memory ran out, and, where the runtime would end the whole sandbox for
// it, ends what uses most before that. On a shared kernel the cgroup kills one process and
// counts it. gVisor holds all memory of a sandbox in one host process, so that the host's only way
// out is to kill everything: there the guest must be first.
type memoryWatch struct {
	limit   int64 // what the user's processes may use; zero: do not watch
	files   fileWatch
	user    user
	crowd   int      // processes
	counter *os.File // where the kernel counts what it killed; nil in gVisor
	// counterFD is the counter's descriptor.
	counterFD int
	info      *os.File     // /proc/meminfo, read in gVisor only
	killed    atomic.Int64 // how many the watch itself killed

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// oomMark is the count of out-of-memory kills at a time.
type oomMark int64

func newMemoryWatch(cfg Config, u user) *memoryWatch {
	ctx, cancel := context.WithCancel(context.Background())
	m := &memoryWatch{limit: cfg.MemoryBytes, user: u, crowd: crowd, cancel: cancel}
	if cfg.Template == "data" {
		m.crowd = heavyCrowd
	}
	m.files = fileWatch{limit: cfg.MaxFiles, places: []string{cfg.Home, "/tmp", "/dev/shm"}}
	for _, path := range []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"} {
		if file, err := os.Open(path); err == nil {
			m.counter, m.counterFD = file, int(file.Fd())
			break
		}
	}
	if m.limit > 0 && m.counter == nil {
		m.info, _ = os.Open("/proc/meminfo")
	}
	if m.info != nil {
		m.running.Go(func() { m.watch(ctx) })
	}
	return m
}

// mark returns the present count, for ranOut.
func (m *memoryWatch) mark() oomMark {
	count := m.killed.Load()
	if m.counter != nil {
		var buf [512]byte
		// One system call, of which every cell makes one: ReadAt would make another for the end of file.
		n, _ := unix.Pread(m.counterFD, buf[:], 0)
		count += number(buf[:max(n, 0)], "oom_kill ")
	}
	return oomMark(count)
}

// ranOut reports whether a process was killed for memory since the mark.
func (m *memoryWatch) ranOut(since oomMark) bool { return m.mark() > since }

// number returns the number behind a name at the beginning of a line.
func number(data []byte, name string) int64 {
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			fields := bytes.Fields(rest)
			if len(fields) == 0 {
				return 0
			}
			n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			return n
		}
	}
	return 0
}

func (m *memoryWatch) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	buf := make([]byte, 2048)
	var excess excess
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		n, _ := m.info.ReadAt(buf, 0)
		used := (number(buf[:n], "MemTotal:") - number(buf[:n], "MemAvailable:")) << 10
		timer.Reset(nextLook(used, m.limit))
		if m.files.tooMany() {
			m.files.blamed.Store(true)
			m.killed.Add(1)
			killAll()
			continue
		}
		swarm := used > m.limit/2 && m.crowded()
		if used <= m.limit && (!swarm || used <= m.limit*7/10) {
			excess.since = time.Time{}
			continue
		}
		m.files.blamed.Store(false)
		switch {
		case swarm || excess.lasts(used):
			m.killed.Add(1)
			killAll()                 // it grows faster than it can be looked at
			removeShared(ctx, m.user) // what no process holds is freed by nobody else
			excess.begin(time.Now())
		case excess.since.IsZero():
			m.killed.Add(1)
			killGreatest()
			excess.begin(time.Time{})
			m.running.Go(func() {
				removeShared(ctx, m.user)
				excess.freed.Store(time.Now().UnixNano())
			})
		}
	}
}

// excess is a time in which too much memory is used. What no process holds any more is not the next
// call's fault: it is removed, and given back, before anybody is ended for it, unless the memory grows
// on meanwhile. Whoever was just killed may have taken some more before it died.
type excess struct {
	since  time.Time    // when something was killed for it; zero while there is none
	peak   int64        // the most it was until what was killed had to be dead
	peaked bool         // peak is final
	freed  atomic.Int64 // when shared memory was removed, in nanoseconds since 1970; zero while it is not
}

// begin notes that something was killed, and when shared memory was removed, zero for not yet.
func (e *excess) begin(freed time.Time) {
	e.since, e.peak, e.peaked = time.Now(), 0, false
	e.freed.Store(0)
	if !freed.IsZero() {
		e.freed.Store(freed.UnixNano())
	}
}

// lasts tells whether what was killed was not enough.
func (e *excess) lasts(used int64) bool {
	if e.since.IsZero() {
		return false
	}
	if !e.peaked { // one look at least that is late enough, however seldom there is time for one
		e.peak, e.peaked = max(e.peak, used), time.Since(e.since) > releaseTime
		return false
	}
	freed := e.freed.Load()
	return used > e.peak+growth || freed != 0 && time.Since(time.Unix(0, freed)) > giveBackTime
}

const (
	// releaseTime is how long the memory of what was killed may take to come back.
	releaseTime = 100 * time.Millisecond
	// giveBackTime is how long that of what was removed may take, which gVisor does when it has time.
	giveBackTime = time.Second
	// growth is how much more than that is taken for somebody's asking on.
	growth = 32 << 20
)

// The number of processes from which on looking at each takes too long. gVisor counts the memory of
// a growing swarm late, some hundred MiB at a time, so that less is allowed to one. A fork with numpy
// and pandas in memory takes 60 MiB there: a dozen of them grow as fast as fifty lean ones.
const (
	crowd      = 48
	heavyCrowd = 12
)

// crowded reports whether there are many processes.
func (m *memoryWatch) crowded() bool {
	dir, err := os.Open("/proc")
	if err != nil {
		return true
	}
	defer closeAll(dir)
	names, _ := dir.Readdirnames(-1)
	processes := 0
	for _, name := range names {
		if name[0] >= '0' && name[0] <= '9' {
			processes++
		}
	}
	return processes > m.crowd
}

// killGreatest ends the call whose processes hold most memory together: a swarm is not stopped by
// ending one of it. The guest and the zygote are not the user's and are left alone.
func killGreatest() {
	total := map[marker]int64{}
	var greatest marker
	for _, proc := range scanProcs() {
		m := proc.marker()
		if m == 0 {
			continue
		}
		if total[m] += proc.rss; total[m] > total[greatest] {
			greatest = m
		}
	}
	if greatest != 0 {
		_ = greatest.kill(nil) // without waiting: there is more to look at
	}
}

// marker returns the marker of whatever was started for the user, and zero for all else.
func (p procInfo) marker() marker {
	for _, group := range p.groups {
		if m := marker(group); m >= firstMarker && m <= lastMarker {
			return m
		}
	}
	return 0
}

func (m *memoryWatch) close() {
	m.cancel()
	m.running.Wait()
	closeAll(m.counter, m.info)
}
