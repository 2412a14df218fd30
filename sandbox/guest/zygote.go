package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// zygote is the Python process from which kernels are forked. It is ours: it runs as the guest's
// user, never runs a line of the sandbox's user, and so is trusted as the guest is. It has imported
// what the template names, which is what makes a new kernel cheap.
type zygote struct {
	conn  *net.UnixConn
	ready chan struct{} // closed when it has imported everything, or died
	dead  chan struct{} // closed when it has died

	mu      sync.Mutex
	next    int             // guarded by mu
	forks   map[string]fork // guarded by mu
	kernels map[int]forked  // guarded by mu

	reading sync.WaitGroup
}

// fork is one that was asked for.
type fork struct {
	reply  chan zygoteEvent
	exited func() // called when the process has ended
}

// forked is a process that a fork has made.
type forked struct {
	ended  <-chan syscall.WaitStatus
	tell   func(syscall.WaitStatus) // says on ended how it ended
	exited func()
}

// zygoteOrder asks for a kernel. Its descriptors travel beside it.
type zygoteOrder struct {
	Op     string `json:"op"`
	ID     string `json:"id"`
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Groups []int  `json:"groups"`
	Cwd    string `json:"cwd"`
	// AddressSpace bounds a kernel's address space in bytes. Zero does not bound it.
	AddressSpace int64 `json:"address_space"`
	// Hold leaves the kernel root until it is entered.
	Hold bool `json:"hold"`
}

// zygoteEvent is what the zygote tells.
type zygoteEvent struct {
	Op     string `json:"op"`
	ID     string `json:"id"`
	PID    int    `json:"pid"`
	Error  string `json:"error"`
	Status int    `json:"status"`

	ended <-chan syscall.WaitStatus // where the end of a forked process comes
}

// errZygoteDied is wrapped where a zygote died that was asked for something.
var errZygoteDied = errors.New("the zygote died")

// startZygote starts the Python process. It returns before that is ready.
func startZygote(g *Guest) (*zygote, error) {
	ours, theirs, err := seqpacketPair()
	if err != nil {
		return nil, err
	}
	defer closeAll(theirs)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	defer closeAll(null)
	argv := append(append([]string{}, g.cfg.Kernel...), g.cfg.Template)
	_, ended, err := g.reaper.start(argv[0], argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   g.cfg.environ(nil),
		Files: []uintptr{null.Fd(), os.Stderr.Fd(), os.Stderr.Fd(), theirs.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("start the zygote: %w", err)
	}
	z := &zygote{
		conn:    ours,
		ready:   make(chan struct{}),
		dead:    make(chan struct{}),
		forks:   map[string]fork{},
		kernels: map[int]forked{},
	}
	z.reading.Go(func() {
		z.read()
		<-ended
	})
	return z, nil
}

// seqpacketPair returns two ends of a socket that keeps messages apart and whole: what one sender
// writes never mixes with what another does.
func seqpacketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "socket")
	file := os.NewFile(uintptr(fds[0]), "socket")
	conn, err := net.FileConn(file) // a duplicate
	_ = file.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	ours, ok := conn.(*net.UnixConn)
	if !ok {
		closeAll(theirs)
		return nil, nil, errors.Join(errors.New("not a unix socket"), conn.Close())
	}
	return ours, theirs, nil
}

// read takes what the zygote tells until it dies.
func (z *zygote) read() {
	defer z.fail()
	buf := make([]byte, packetSize)
	for {
		n, err := z.conn.Read(buf)
		if err != nil || n == 0 {
			return
		}
		var event zygoteEvent
		if json.Unmarshal(buf[:n], &event) != nil {
			continue
		}
		z.mu.Lock()
		switch event.Op {
		case "ready":
			close(z.ready)
		case "forked", "failed":
			if asked, ok := z.forks[event.ID]; ok {
				if event.Op == "forked" {
					ended := make(chan syscall.WaitStatus, 1)
					z.kernels[event.PID] = forked{ended, func(status syscall.WaitStatus) { ended <- status }, asked.exited}
					event.ended = ended
				}
				asked.reply <- event
			}
			delete(z.forks, event.ID)
		case "exited":
			if made, ok := z.kernels[event.PID]; ok {
				delete(z.kernels, event.PID)
				made.tell(syscall.WaitStatus(event.Status))
				made.exited()
			}
		}
		z.mu.Unlock()
	}
}

// fail tells everybody who waits that the zygote is dead.
func (z *zygote) fail() {
	z.mu.Lock()
	defer z.mu.Unlock()
	close(z.dead)
	select {
	case <-z.ready:
	default:
		close(z.ready)
	}
}

// fork makes a process with the given descriptors. Its end comes on the channel, and exited is
// called then, unless the zygote dies first.
func (z *zygote) fork(ctx context.Context, order zygoteOrder, files []*os.File, exited func()) (int, <-chan syscall.WaitStatus, error) {
	reply := make(chan zygoteEvent, 1)
	z.mu.Lock()
	z.next++
	order.Op, order.ID = "fork", fmt.Sprint(z.next)
	z.forks[order.ID] = fork{reply, exited}
	z.mu.Unlock()
	defer func() {
		z.mu.Lock()
		delete(z.forks, order.ID)
		z.mu.Unlock()
	}()
	packet, err := json.Marshal(order)
	if err != nil {
		return 0, nil, err
	}
	fds := make([]int, len(files))
	for i, file := range files {
		fds[i] = int(file.Fd())
	}
	if _, _, err := z.conn.WriteMsgUnix(packet, unix.UnixRights(fds...), nil); err != nil {
		return 0, nil, fmt.Errorf("ask the zygote: %w", err)
	}
	timer := time.NewTimer(kernelStart)
	defer timer.Stop()
	select {
	case event := <-reply:
		if event.Op != "forked" || event.PID <= 1 {
			return 0, nil, fmt.Errorf("the zygote could not fork: %s", event.Error)
		}
		return event.PID, event.ended, nil
	case <-z.dead:
		return 0, nil, errZygoteDied
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	case <-timer.C:
		return 0, nil, errors.New("the zygote does not answer")
	}
}

// tell sends an order that has no answer.
func (z *zygote) tell(op string) {
	_, _ = z.conn.Write([]byte(`{"op":"` + op + `"}`)) // a dead zygote is replaced when it is needed
}

// forget drops what is known of an ended kernel, unless its id is another's by now.
func (z *zygote) forget(pid int, ended <-chan syscall.WaitStatus) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.kernels[pid].ended == ended {
		delete(z.kernels, pid)
	}
}

func (z *zygote) close() {
	_ = z.conn.Close() // the zygote ends when its socket does
	z.reading.Wait()
}
