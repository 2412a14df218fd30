package gather_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandgate/sandgate/sandbox/gather"
)

// newPipe returns both ends of a pipe that does not block.
func newPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// Whatever goes through a pipe arrives whole, whether its reader is patient or not, and however slow it is.
func TestDescriptorsCarryEverything(t *testing.T) {
	t.Parallel()
	content := make([]byte, 3<<20+7)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content) // never fails
	for name, test := range map[string]struct {
		patient bool
		piece   int
		pause   time.Duration
	}{
		"patient":      {true, 64 << 10, 0},
		"not patient":  {false, 64 << 10, 0},
		"page by page": {true, 4 << 10, 0},
		"slow":         {true, 64 << 10, 2 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, w := newPipe(t)
			from, err := gather.NewDescriptor(r, gather.Nap)
			if err != nil {
				t.Fatal(err)
			}
			to, err := gather.NewDescriptor(w, gather.Pause)
			if err != nil {
				t.Fatal(err)
			}
			from.SetPatient(test.patient)
			sent := make(chan error, 1)
			go func() {
				n, err := to.Write(content)
				if err == nil && n != len(content) {
					err = io.ErrShortWrite
				}
				sent <- errors.Join(err, w.Close())
			}()
			var got bytes.Buffer
			buf := make([]byte, test.piece)
			for {
				n, err := from.Read(buf)
				got.Write(buf[:n])
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(test.pause)
			}
			if err := <-sent; err != nil || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("%d of %d bytes arrived: %v", got.Len(), len(content), err)
			}
		})
	}
}

// Who waits is told when the other end, or their own, is closed.
func TestDescriptorsEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		closes func(r, w *os.File) error
		read   error // nil: some error
		write  error
	}{
		"the reader's": {func(r, _ *os.File) error { return r.Close() }, nil, unix.EPIPE},
		"the writer's": {func(_, w *os.File) error { return w.Close() }, io.EOF, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, w := newPipe(t)
			full, other := newPipe(t)
			from, err := gather.NewDescriptor(r, gather.Nap)
			if err != nil {
				t.Fatal(err)
			}
			to, err := gather.NewDescriptor(other, gather.Nap)
			if err != nil {
				t.Fatal(err)
			}
			from.SetPatient(true)
			read, wrote := make(chan error, 1), make(chan error, 1)
			go func() { _, err := from.Read(make([]byte, 1)); read <- err }()
			go func() { _, err := to.Write(make([]byte, 8<<20)); wrote <- err }()
			<-time.After(5 * time.Millisecond) // both wait; the outcome is the same if they do not yet
			if err := errors.Join(end.closes(r, w), end.closes(full, other)); err != nil {
				t.Fatal(err)
			}
			if err := <-read; err == nil || end.read != nil && !errors.Is(err, end.read) {
				t.Errorf("the read ended with %v, want %v", err, end.read)
			}
			if err := <-wrote; err == nil || end.write != nil && !errors.Is(err, end.write) {
				t.Errorf("the write ended with %v, want %v", err, end.write)
			}
		})
	}
}

// A socket is one, too.
func TestDescriptorOfASocket(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = conn.Write(bytes.Repeat([]byte("x"), 1<<20))
			_ = conn.Close()
		}
	}()
	conn, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		t.Fatalf("%T", conn)
	}
	from, err := gather.NewDescriptor(socket, gather.Pause)
	if err != nil {
		t.Fatal(err)
	}
	from.SetPatient(true)
	if got, err := io.ReadAll(from); len(got) != 1<<20 || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
