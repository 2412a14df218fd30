package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of these tests. It is no assertion about speed.
const patience = 60 * time.Second

// program is this program running as a process of its own.
type program struct {
	cmd    *exec.Cmd
	out    *watchedBuffer // what it wrote to both of its streams
	input  io.Writer
	exited chan error
}

// watchedBuffer collects output for a goroutine that waits for some of it.
type watchedBuffer struct {
	mu      sync.Mutex
	content bytes.Buffer
	changed chan struct{}
}

func newWatchedBuffer() *watchedBuffer { return &watchedBuffer{changed: make(chan struct{}, 1)} }

func (b *watchedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return b.content.Write(p)
}

func (b *watchedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}

// newProgram prepares `sandgate args…` against a gateway. TestMain puts it on the PATH.
func newProgram(t *testing.T, server string, args ...string) *program {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sandgate", args...)
	cmd.Env = append(os.Environ(), "SANDGATE_SERVER="+server, "HOME="+t.TempDir(), "TERM=xterm")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	return &program{cmd: cmd, out: newWatchedBuffer(), exited: make(chan error, 1)}
}

// start runs it with pipes.
func (p *program) start(t *testing.T) *program {
	t.Helper()
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	input, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.input = input
	p.begin(t)
	return p
}

// startOnTerminal runs it on a terminal of its own, with job control as a shell would give it.
func (p *program) startOnTerminal(t *testing.T) *program {
	t.Helper()
	master, slave := openTerminal(t)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p.input = master
	p.begin(t)
	if err := slave.Close(); err != nil {
		t.Error(err)
	}
	go func() { _, _ = io.Copy(p.out, master) }() // ends with an error when the program has
	return p
}

func (p *program) begin(t *testing.T) {
	t.Helper()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it has ended unless the test failed
}

// openTerminal makes a pseudo terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	setSize(t, master, 100, 30)
	return master, slave
}

func setSize(t *testing.T, terminal io.Writer, cols, rows uint16) {
	t.Helper()
	f, ok := terminal.(*os.File)
	if !ok {
		t.Fatalf("%T is no terminal", terminal)
	}
	if err := unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}); err != nil {
		t.Fatal(err)
	}
}

// expect waits until the program has written some text.
func (p *program) expect(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !strings.Contains(p.out.String(), text) {
		select {
		case <-p.out.changed:
		case err := <-p.exited:
			p.exited <- err
			if !strings.Contains(p.out.String(), text) {
				t.Fatalf("it ended (%v) before it wrote %q; it wrote:\n%s", err, text, p.out)
			}
		case <-ctx.Done():
			t.Fatalf("it did not write %q; it wrote:\n%s", text, p.out)
		}
	}
}

// send types something.
func (p *program) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(p.input, text); err != nil {
		t.Fatal(err)
	}
}

// hasRead waits until the program has read all that was sent to its pipe.
func (p *program) hasRead(t *testing.T) {
	t.Helper()
	pipe, ok := p.input.(*os.File)
	if !ok {
		t.Fatalf("%T is no pipe", p.input)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		left, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
		if err == nil && left == 0 {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("%d bytes of the input were not read (%v)", left, err)
		}
	}
}

// signal sends a signal to the program alone.
func (p *program) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the program's end and wants an exit code.
func (p *program) ends(t *testing.T, code int) {
	t.Helper()
	select {
	case err := <-p.exited:
		if got := p.cmd.ProcessState.ExitCode(); got != code {
			t.Fatalf("exit code %d (%v), want %d; it wrote:\n%s", got, err, code, p.out)
		}
	case <-time.After(patience):
		t.Fatalf("it did not end; it wrote:\n%s", p.out)
	}
}
