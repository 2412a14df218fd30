package guest

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipe is the read end of a stream that the user's processes write to. Its end of file means
// nothing: a background process may hold the write end for ever. So there is one goroutine that
// reads as long as the pipe exists, and drain for who needs to know that everything written so far
// has been read.
type pipe struct {
	file *os.File
	raw  syscall.RawConn
	fd   int32 // of file, for poll(2) while that is open

	mu   sync.Mutex
	buf  []byte       // guarded by mu
	sink func([]byte) // guarded by mu; gets every byte, in order
	eof  bool         // guarded by mu

	reading sync.WaitGroup
}

// newPipe makes a pipe and returns it with its write end, which the caller closes once a child has
// it. Bytes go to sink, which must not keep the slice.
func newPipe(sink func([]byte)) (*pipe, *os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	write := os.NewFile(uintptr(fds[1]), "pipe")
	p, err := readPipe(fds[0], sink)
	if err != nil {
		_ = write.Close()
		return nil, nil, err
	}
	return p, write, nil
}

// readPipe takes a descriptor over and starts reading from it.
func readPipe(fd int, sink func([]byte)) (*pipe, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	p := &pipe{file: os.NewFile(uintptr(fd), "pipe"), fd: int32(fd), sink: sink}
	var err error
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	p.reading.Go(func() {
		_ = p.raw.Read(func(fd uintptr) bool {
			for {
				if done, again := p.once(int(fd)); done || again {
					return done
				}
			}
		})
	})
	return p, nil
}

// once reads a chunk. It reports whether the stream has ended, and whether it is empty for now.
func (p *pipe) once(fd int) (ended, empty bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.buf == nil {
		p.buf = make([]byte, chunkSize)
	}
	n, err := unix.Read(fd, p.buf)
	switch {
	case n > 0:
		p.sink(p.buf[:n])
		return false, false
	case errors.Is(err, unix.EAGAIN):
		return false, true
	case errors.Is(err, unix.EINTR):
		return false, false
	}
	p.eof = true // end of file, or EIO: the last process has closed the terminal
	return true, false
}

// drain returns when every byte that is in the pipe at the time of the call has gone to the sink.
// It never waits for more, however fast the pipe is filled meanwhile.
func (p *pipe) drain() {
	_ = p.raw.Control(func(fd uintptr) {
		waiting, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		for left := waiting; err == nil && left > 0; left -= chunkSize {
			if ended, empty := p.once(int(fd)); ended || empty {
				return
			}
		}
	})
}

// divert sends what comes from now on to another sink.
func (p *pipe) divert(sink func([]byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sink = sink
}

// wait returns when every holder of the write end has closed it, or the pipe was closed.
func (p *pipe) wait() { p.reading.Wait() }

func (p *pipe) close() {
	_ = p.file.Close()
	p.reading.Wait()
}

// closeAll closes what is not nil.
func closeAll(closers ...io.Closer) {
	for _, c := range closers {
		if file, ok := c.(*os.File); ok && file == nil {
			continue
		}
		if c != nil {
			_ = c.Close()
		}
	}
}
