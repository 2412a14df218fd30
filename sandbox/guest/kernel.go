package guest

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kernel is one Python process that keeps its state from cell to cell. It is the user's: it may
// lie, hang and die. Its methods are called by one goroutine at a time, except interrupt and kill.
type kernel struct {
	guest   *Guest
	zygote  *zygote // that forked it
	pid     int
	marker  marker
	started time.Time
	ended   <-chan syscall.WaitStatus
	wire    *kernelWire
	signal  *os.File // the write end of the interrupt pipe
	stdout  *pipe
	stderr  *pipe
	late    *pipe

	lateMu  sync.Mutex
	lateOut []byte // output that belongs to no cell; guarded by lateMu

	keys     *rand.ChaCha8 // makes the cells' keys
	last     uint64        // the key of the last cell
	astray   string        // where it started, if not where it should have
	cells    int64         // how many were run
	count    atomic.Int64  // how many the kernel says it ran
	mark     oomMark       // the count of memory kills when the last cell ended
	peak     int64         // the largest memory seen, in bytes
	children time.Duration // processor time of its awaited children
	unlooked time.Duration // how long cells ran since its children were looked at
}

// startKernel forks a kernel and returns when it can run cells, or, if it is held, can be entered. Where the
// zygote dies meanwhile, as it does with everything else when the user's processes take all memory, it asks
// the next one, once: nothing of the user's has run in the kernel.
func (g *Guest) startKernel(ctx context.Context, cwd string, hold bool) (*kernel, error) {
	for again := false; ; again = true {
		z, err := g.livingZygote(ctx)
		var k *kernel
		if err == nil {
			k, err = g.forkKernel(ctx, z, cwd, hold)
		}
		if err == nil || again || ctx.Err() != nil || !errors.Is(err, errZygoteDied) {
			return k, err
		}
	}
}

// forkKernel has a zygote fork a kernel.
func (g *Guest) forkKernel(ctx context.Context, z *zygote, cwd string, hold bool) (*kernel, error) {
	k := &kernel{guest: g, zygote: z, marker: g.markers.take(), started: time.Now(), mark: g.memory.mark(), keys: newKeys()}
	k.last = k.keys.Uint64() // of no cell
	theirs, err := k.wireUp()
	defer func() {
		for _, file := range theirs {
			closeAll(file)
		}
	}()
	if err == nil {
		order := zygoteOrder{UID: g.cfg.UID, GID: g.cfg.UID, Groups: []int{int(k.marker)}, Cwd: cwd, Hold: hold}
		if g.cfg.MemoryBytes > 0 {
			order.AddressSpace = g.cfg.MemoryBytes + addressSlack
		}
		k.pid, k.ended, err = z.fork(ctx, order, theirs, func() {
			_ = k.wire.conn.SetReadDeadline(time.Now().Add(closeGrace))
		})
	}
	if err == nil {
		err = k.awaitReady(ctx)
	}
	if err != nil {
		k.close()
		select {
		case <-z.dead:
			err = errors.Join(errZygoteDied, err)
		default:
		}
		return nil, fmt.Errorf("start a Python kernel: %w", err)
	}
	return k, nil
}

// newKeys returns a generator whose numbers nobody can guess, whatever he saw of it: asking the system
// for each would be one more call for every cell, which is dear in gVisor.
func newKeys() *rand.ChaCha8 {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // it never fails
	return rand.NewChaCha8(seed)
}

// addressSlack is how much more address space than memory a kernel may have: room for the shared
// libraries, thread stacks and arenas that are mapped and never touched.
const addressSlack = 512 << 20

// wireUp makes the kernel's descriptors and returns its ends, in the order of the protocol.
func (k *kernel) wireUp() (theirs []*os.File, err error) {
	conn, socket, err := seqpacketPair()
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, socket)
	if k.wire, err = newKernelWire(conn); err != nil {
		return theirs, err
	}
	interruptEnd, signal, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	k.signal = signal
	theirs = append(theirs, interruptEnd)
	for _, stream := range []**pipe{&k.stdout, &k.stderr, &k.late} {
		end, write, err := newPipe(k.keepLate)
		if err != nil {
			return theirs, err
		}
		*stream = end
		theirs = append(theirs, write)
	}
	return theirs, nil
}

func (k *kernel) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, kernelStart)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = k.wire.conn.Close() })
	err := k.expect("ready")
	if !stop() {
		return ctx.Err()
	}
	return err
}

// expect takes the next message, which must be of this kind, and notes where the kernel is.
func (k *kernel) expect(op string) error {
	message, err := k.wire.receive()
	if err != nil || message.Op != op {
		return errors.New("its process ended while it started")
	}
	k.astray = message.Cwd
	return nil
}

// enter makes a held kernel the user's, in a directory. Nothing of the user's has touched it before,
// so that it answers at once unless it is dead.
func (k *kernel) enter(cwd string) error {
	_ = k.wire.conn.SetDeadline(time.Now().Add(enterLimit))
	err := k.wire.send(entryOrder{Op: "enter", Cwd: cwd})
	if err == nil {
		err = k.expect("entered")
	}
	_ = k.wire.conn.SetDeadline(time.Time{})
	if err == nil && !k.alive() {
		err = errors.New("it is dead")
	}
	k.started, k.mark = time.Now(), k.guest.memory.mark()
	return err
}

// keepLate takes output that came when no cell ran, or from threads of earlier cells.
func (k *kernel) keepLate(p []byte) {
	k.lateMu.Lock()
	defer k.lateMu.Unlock()
	k.lateOut = append(k.lateOut, p...)
	if over := len(k.lateOut) - maxLate; over > 0 {
		k.lateOut = k.lateOut[:copy(k.lateOut, k.lateOut[over:])]
	}
}

// takeLate returns the late output since the last time.
func (k *kernel) takeLate() []byte {
	k.lateMu.Lock()
	defer k.lateMu.Unlock()
	taken := k.lateOut
	k.lateOut = nil
	return taken
}

// drain returns when everything written so far has gone where it belongs. It reports whether there is
// something on the wire.
func (k *kernel) drain() (said bool) {
	pipes := [...]*pipe{k.stdout, k.stderr, k.late}
	var waiting [len(pipes) + 1]unix.PollFd
	for i, p := range pipes {
		waiting[i] = unix.PollFd{Fd: p.fd, Events: unix.POLLIN}
	}
	wire := &waiting[len(pipes)]
	*wire = unix.PollFd{Fd: k.wire.fd, Events: unix.POLLIN}
	// One system call for the usual case that nothing was written: in gVisor each is dear.
	n, err := unix.Poll(waiting[:], 0)
	for i, p := range pipes {
		if err != nil || (n > 0 && waiting[i].Revents != 0) {
			p.drain()
		}
	}
	return err == nil && wire.Revents != 0
}

// hear returns the next message with this key. A thread of an earlier cell may still show something,
// and a signal handler make the kernel say twice that the last one is done; these are skipped.
func (k *kernel) hear(key uint64) (kernelMessage, error) {
	for {
		message, err := k.wire.receive()
		if err != nil || message.Key == key {
			return message, err
		}
		if message.Op == "done" && message.Key != k.last {
			return message, errForged
		}
	}
}

// settle takes from pipes and wire what earlier cells left there. Nothing but the rest of these may be
// on the wire: the error is errForged where there is more.
func (k *kernel) settle() error {
	for range maxLateMessages {
		if !k.drain() {
			return nil
		}
		_ = k.wire.conn.SetReadDeadline(time.Now().Add(lateLimit))
		message, err := k.wire.receive()
		_ = k.wire.conn.SetReadDeadline(time.Time{})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // half a message
			return errForged
		case err != nil:
			return err
		case message.Op == "done" && message.Key != k.last:
			return errForged
		}
	}
	return errForged // it does not end
}

// interrupt asks the kernel to raise KeyboardInterrupt in one cell. The number makes sure that a
// late signal does not hit the next one.
func (k *kernel) interrupt(cell int64) {
	_ = k.signal.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // a kernel that never reads it
	_, _ = k.signal.Write(interruptNumber(cell))
	_ = unix.Kill(k.pid, unix.SIGINT)
}

// kill ends the kernel and everything that it started.
func (k *kernel) kill() { k.marker.end(nil) }

// killSince ends what the kernel started since a moment, but not the kernel.
func (k *kernel) killSince(moment time.Time) {
	began := sinceBoot(moment) // once: looking at many processes takes longer than some wait to start
	k.marker.end(func(p procInfo) bool { return p.pid != k.pid && startedSince(p.pid, began) })
}

// hasThreadSince reports whether the kernel has a thread that was started since a moment.
func (k *kernel) hasThreadSince(moment time.Time) bool {
	began := sinceBoot(moment)
	return slices.ContainsFunc(threads(k.pid), func(thread int) bool {
		return thread != k.pid && beganSince(fmt.Sprintf("/proc/%d/task/%d/stat", k.pid, thread), began)
	})
}

// alive reports whether the process still runs, as far as the zygote has told.
func (k *kernel) alive() bool {
	select {
	case <-k.zygote.dead:
		return false
	default:
		return len(k.ended) == 0
	}
}

// close kills the kernel and frees what it held.
func (k *kernel) close() {
	if k.pid > 0 {
		k.kill()
		k.zygote.forget(k.pid, k.ended)
	}
	k.guest.markers.release(k.marker)
	if k.wire != nil {
		_ = k.wire.conn.Close()
	}
	closeAll(k.signal)
	for _, end := range []*pipe{k.stdout, k.stderr, k.late} {
		if end != nil {
			end.close()
		}
	}
}
