package gather_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/sandbox/gather"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gated is a writer whose first write waits until it is opened.
type gated struct {
	open   chan struct{}
	mu     sync.Mutex
	writes int
	bytes.Buffer
	err error
}

func (g *gated) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	if g.err != nil {
		return 0, g.err
	}
	return g.Buffer.Write(p)
}

// What is written while a write goes on is one write, in the order in which it came.
func TestWritesAreGatheredInOrder(t *testing.T) {
	t.Parallel()
	to := &gated{open: make(chan struct{})}
	w := gather.New(to)
	var want strings.Builder
	for i := range 1000 {
		line := fmt.Sprintln(i)
		want.WriteString(line)
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if w.Idle() {
		t.Error("idle, with a write under way")
	}
	close(to.open)
	if err := w.Flush(); err != nil || !w.Idle() {
		t.Error(err, w.Idle())
	}
	if to.String() != want.String() || to.writes > 2 {
		t.Errorf("%d bytes in %d writes, want %d in at most 2", to.Len(), to.writes, want.Len())
	}
}

// Each writer's bytes stay together, however many write, and a write beyond the queue passes whole.
func TestWritersDoNotMix(t *testing.T) {
	t.Parallel()
	to := &gated{open: make(chan struct{})}
	close(to.open)
	w := gather.New(to)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			line := strings.Repeat(fmt.Sprint(i), 999) + "\n"
			for range 500 {
				if err := w.Append(len(line), func(buf []byte) []byte { return append(buf, line...) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if _, err := w.Write(bytes.Repeat([]byte("long"), 1<<20)); err != nil {
		t.Error(err)
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	lines := strings.SplitAfter(to.String(), "\n")
	for _, line := range lines[:len(lines)-1] {
		if len(line) != 1000 || strings.Trim(line[:999], line[:1]) != "" {
			t.Fatalf("a mixed line: %.40q of %d bytes", line, len(line))
		}
	}
	if len(lines) != 8*500+1 || len(lines[8*500]) != 4<<20 {
		t.Errorf("%d lines, the last of %d bytes", len(lines), len(lines[len(lines)-1]))
	}
}

func TestAnErrorEndsIt(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	to := &gated{open: make(chan struct{}), err: broken}
	close(to.open)
	w := gather.New(to)
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, broken) {
		t.Errorf("Flush returned %v", err)
	}
	if n, err := w.Write(make([]byte, 1<<20)); n != 0 || !errors.Is(err, broken) {
		t.Errorf("Write after an error returned %d, %v", n, err)
	}
}
