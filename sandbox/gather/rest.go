package gather

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Rests of whoever moves a file through a pipe or a socket that is full, or empty, at the moment. Who waits
// for it is woken as soon as the other side has taken, or left, a first piece, which is 4 KiB where an
// engine's shim does: a file then costs a switch between processes, there and back, for every page. After a
// rest there is room, or content, for many.
const (
	writeRest = 150 * time.Microsecond
	readRest  = 500 * time.Microsecond
	pipeBytes = 256 << 10 // what a pipe then holds, so as not to run empty or full meanwhile
)

// A Descriptor is read and written without waiting for every piece. One goroutine may read while others
// write, one at a time.
type Descriptor struct {
	raw     syscall.RawConn
	sleep   func(time.Duration)
	patient bool // the reader's
	rested  atomic.Bool
}

// Nap is exact. It keeps the processor, as far as the program has one, for up to what it lasts.
func Nap(long time.Duration) {
	left := unix.NsecToTimespec(long.Nanoseconds())
	for errors.Is(unix.Nanosleep(&left, &left), unix.EINTR) {
	}
}

// Pause lets others of the program work. Where nobody wants to it lasts a millisecond, which is the least that the
// runtime waits for.
func Pause(long time.Duration) { <-time.After(long) }

// NewDescriptor returns that of a file or connection that is in non-blocking mode, which rests by [Nap] or [Pause].
// Whoever made that closes it.
func NewDescriptor(of syscall.Conn, sleep func(time.Duration)) (*Descriptor, error) {
	raw, err := of.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Descriptor{raw: raw, sleep: sleep}, nil
}

// SetPatient says whether much more is to come than one Read returns, so that it is worth a rest.
func (d *Descriptor) SetPatient(patient bool) { d.patient = patient }

// Read reads some bytes, and waits for them.
func (d *Descriptor) Read(p []byte) (n int, err error) {
	rested := !d.patient
	waited := d.raw.Read(func(fd uintptr) bool {
		for {
			n, err = unix.Read(int(fd), p)
			switch {
			case errors.Is(err, unix.EINTR):
			case !errors.Is(err, unix.EAGAIN):
				return true
			case rested:
				return false
			default:
				d.rest(fd, readRest)
				rested = true
			}
		}
	})
	switch {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// rest waits a little. A pipe is made larger before the first time: not earlier, as the host bounds what all
// pipes may hold together, and many never carry much. Sockets and gVisor's pipes stay as they are.
func (d *Descriptor) rest(fd uintptr, long time.Duration) {
	if !d.rested.Swap(true) {
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeBytes)
	}
	d.sleep(long)
}

// Write writes all of p.
func (d *Descriptor) Write(p []byte) (sent int, err error) {
	rested := false // since it was last full
	waited := d.raw.Write(func(fd uintptr) bool {
		for sent < len(p) {
			n, failure := unix.Write(int(fd), p[sent:])
			switch {
			case n > 0:
				sent, rested = sent+n, false
			case errors.Is(failure, unix.EINTR):
			case failure != nil && !errors.Is(failure, unix.EAGAIN):
				err = os.NewSyscallError("write", failure)
				return true
			case rested: // nobody takes anything
				rested = false
				return false
			default:
				d.rest(fd, writeRest)
				rested = true
			}
		}
		return true
	})
	return sent, errors.Join(err, waited)
}
