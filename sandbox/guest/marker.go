package guest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A marker is a supplementary group that everything started by one call carries. A process cannot
// shed it without a capability that no process of the user's has, so it finds daemonised
// grandchildren that have left their parent, session and process group behind.
type marker int

// The range of markers. It lies above the sandboxes' user ids and within the 65,536 ids that a
// user namespace usually maps.
const (
	firstMarker marker = 60001
	lastMarker  marker = 65533
)

// markers hands out markers.
type markers struct {
	mu      sync.Mutex
	next    marker              // guarded by mu
	wrapped bool                // guarded by mu
	held    map[marker]struct{} // taken and not released; guarded by mu
}

// take returns a marker that nobody holds and no process carries. Who takes it releases it when it
// will not kill by it any more.
func (m *markers) take() marker {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		if m.next < firstMarker || m.next > lastMarker {
			m.wrapped = m.next > lastMarker
			m.next = firstMarker
		}
		taken := m.next
		m.next++
		if _, held := m.held[taken]; held || (m.wrapped && inUse(taken)) {
			continue
		}
		if m.held == nil {
			m.held = map[marker]struct{}{}
		}
		m.held[taken] = struct{}{}
		return taken
	}
}

// release gives a marker back. Processes may still carry it: take looks.
func (m *markers) release(taken marker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.held, taken)
}

func inUse(m marker) bool {
	for _, proc := range scanProcs() {
		if proc.hasGroup(int(m)) {
			return true
		}
	}
	return false
}

// killRounds bounds how often processes are looked for before everything in the sandbox is killed.
const killRounds = 20

// end kills as kill does, and returns when the killed are gone, or have not gone within a bound.
func (m marker) end(which func(procInfo) bool) {
	killed := m.kill(which)
	for deadline := time.Now().Add(deathLimit); len(killed) > 0 && time.Now().Before(deadline); {
		killed = slices.DeleteFunc(killed, func(pid int) bool {
			_, alive := readStatus(pid)
			return !alive
		})
		time.Sleep(time.Millisecond) //nolint:forbidigo // nothing tells when a process that is not a child has gone
	}
}

// deathLimit is how long a killed process may take to go.
const deathLimit = 500 * time.Millisecond

// kill ends every process that carries the marker and that also satisfies the condition; nil means
// all. It first stops them, since a stopped process does not fork, and kills when a look finds no
// new one. If a fork bomb outruns that, all processes of the sandbox but the guest are killed,
// which the kernel does at one stroke. It returns whom it killed one by one.
func (m marker) kill(which func(procInfo) bool) (killed []int) {
	seen := map[int]bool{}
	var stopped []int
	for range killRounds {
		fresh := false
		for _, proc := range scanProcs() {
			if !proc.hasGroup(int(m)) || seen[proc.pid] || (which != nil && !which(proc)) {
				continue
			}
			seen[proc.pid], fresh = true, true
			stopped = append(stopped, proc.pid)
			_ = unix.Kill(proc.pid, unix.SIGSTOP)
		}
		if fresh {
			continue
		}
		if len(stopped) == 0 {
			return killed
		}
		for _, pid := range stopped {
			_ = unix.Kill(pid, unix.SIGKILL)
			// In gVisor a dead process is still a stopped one, for the sake of which whoever is left in its
			// process group gets SIGHUP when another of the group is waited for. This one wakes nobody any more.
			_ = unix.Kill(pid, unix.SIGCONT)
		}
		killed = append(killed, stopped...)
		stopped = nil // and look again: a fork may have been under way in one that was stopped
	}
	killAll()
	return killed
}

// signal sends a signal to every process that carries the marker.
func (m marker) signal(sig unix.Signal) error {
	var errs error
	for _, proc := range scanProcs() {
		if proc.hasGroup(int(m)) {
			if err := unix.Kill(proc.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = errors.Join(errs, err)
			}
		}
	}
	return errs
}

// killAll kills every process but the guest. It must only be called by PID 1, for which -1 means
// its own pid namespace.
func killAll() {
	if unix.Getpid() != 1 {
		return
	}
	_ = unix.Kill(-1, unix.SIGKILL)
	time.Sleep(10 * time.Millisecond) //nolint:forbidigo // lets the dead be reaped before anybody forks
}
