package docker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"unicode"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/sandgate/sandgate/sandbox/gather"
)

const (
	attachBuffer = 32 << 10
	stderrTail   = 8 << 10
)

// Streams of an attached container, as the first byte of each frame's header names them.
const (
	streamStdout = 1
	streamStderr = 2
	streamEngine = 3 // the engine's own complaint
)

// attachment is the container's stdin and stdout as one byte stream. What arrives on stderr, the
// guest's diagnostics, is kept in tail. One goroutine may read while others write.
type attachment struct {
	conn   net.Conn
	direct *gather.Descriptor // what conn is read by, nil where it is none that can be
	in     *bufio.Reader
	header [8]byte
	rest   int64 // of the present stdout frame
	tail   *tail
}

// attach opens the streams of a container. ctx bounds the opening only.
func attach(ctx context.Context, engine *client.Client, id string) (*attachment, error) {
	type result struct {
		stream *attachment
		err    error
	}
	opened := make(chan result)
	// The client does not watch ctx while it waits for the engine's answer, and an engine that hangs
	// must not hang the caller. The goroutine ends when the engine answers or the connection is cut.
	line := new(cutter)
	stop := context.AfterFunc(ctx, line.close)
	go func() {
		defer stop()
		got := result{}
		response, err := engine.ContainerAttach(context.WithValue(ctx, cutterKey{}, line), id, container.AttachOptions{
			Stream: true, Stdin: true, Stdout: true, Stderr: true,
		})
		if err != nil {
			got.err = fmt.Errorf("attach to container: %w", err)
		} else {
			got.stream = newAttachment(response.Conn, response.Reader)
			got.stream.readDirectly(response.Reader)
		}
		select {
		case opened <- got:
		case <-ctx.Done():
			if got.stream != nil {
				_ = got.stream.Close()
			}
		}
	}()
	select {
	case got := <-opened:
		return got.stream, got.err
	case <-ctx.Done():
		return nil, fmt.Errorf("attach to container: %w", context.Cause(ctx))
	}
}

func newAttachment(conn net.Conn, in io.Reader) *attachment {
	return &attachment{conn: conn, in: bufio.NewReaderSize(in, attachBuffer), tail: new(tail)}
}

// readDirectly reads the connection by itself, from where the reader that was opened with it stands.
func (a *attachment) readDirectly(opened *bufio.Reader) {
	conn, ok := a.conn.(syscall.Conn)
	if !ok { // over TLS
		return
	}
	direct, err := gather.NewDescriptor(conn, gather.Pause) // others have calls to make
	if err != nil {
		return
	}
	a.direct = direct
	a.in.Reset(io.MultiReader(io.LimitReader(opened, int64(opened.Buffered())), direct))
}

// SetPatient says whether much is to come.
func (a *attachment) SetPatient(patient bool) {
	if a.direct != nil {
		a.direct.SetPatient(patient)
	}
}

// Read returns bytes of the container's stdout. It allocates nothing: large reads go from the
// connection to p directly.
func (a *attachment) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for a.rest == 0 {
		if err := a.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := a.in.Read(p[:min(int64(len(p)), a.rest)])
	a.rest -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextFrame reads the header of the next stdout frame, and what lies before it of other streams.
func (a *attachment) nextFrame() error {
	if _, err := io.ReadFull(a.in, a.header[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(a.header[4:]))
	switch a.header[0] {
	case streamStdout:
		a.rest = size
		return nil
	case streamStderr, streamEngine:
		if _, err := io.CopyN(a.tail, a.in, size); err != nil {
			return fmt.Errorf("read the container's stderr: %w", err)
		}
		return nil
	default:
		return fmt.Errorf("the engine sent a frame of the unknown stream %d", a.header[0])
	}
}

// Write sends bytes to the container's stdin.
func (a *attachment) Write(p []byte) (int, error) { return a.conn.Write(p) }

// Close detaches. The container goes on.
func (a *attachment) Close() error { return a.conn.Close() }

// tail keeps the last stderrTail bytes written to it.
type tail struct {
	mu   sync.Mutex
	ring [stderrTail]byte // guarded by mu
	n    int64            // bytes ever written; guarded by mu
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	skip := max(0, len(p)-stderrTail)
	t.n += int64(skip)
	for rest := p[skip:]; len(rest) > 0; {
		n := copy(t.ring[t.n%stderrTail:], rest)
		t.n += int64(n)
		rest = rest[n:]
	}
	return len(p), nil
}

// String returns what is kept, fit for a log line: anything that could steer a terminal or forge a line
// is replaced.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.ring[:min(t.n, stderrTail)]
	if t.n > stderrTail {
		at := t.n % stderrTail
		kept = append(append(make([]byte, 0, stderrTail), t.ring[at:]...), t.ring[:at]...)
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, string(kept))
	return strings.TrimSpace(clean)
}
