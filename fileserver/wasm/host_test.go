package wasm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hostile is the program of testdata/hostile, which is built once.
//
//nolint:gochecknoglobals // one for the package
var hostile = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "hostile")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "hostile.wasm")
	build := exec.Command("go", "build", "-o", file, "./testdata/hostile")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.New(string(out))
	}
	return os.ReadFile(file)
})

func newHostile(t *testing.T) *Program {
	t.Helper()
	binary, err := hostile()
	if err != nil {
		t.Fatal(err)
	}
	host, err := NewHost(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	program, err := host.Compile(t.Context(), "hostile", binary)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

//nolint:gochecknoglobals // a constant
var some = Limits{Time: time.Minute, Output: 1 << 20}

func run(t *testing.T, p *Program, limits Limits, input string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := p.Run(t.Context(), limits, io.NopCloser(strings.NewReader(input+"\n")), &out)
	return out.String(), err
}

// TestWalls has a program do its worst, each time followed by an honest run.
func TestWalls(t *testing.T) {
	p := newHostile(t)
	p.Warm()
	var exit *ExitError
	for _, test := range []struct {
		input  string
		limits Limits
		is     func(error) bool
	}{
		{"loop", Limits{Time: 100 * time.Millisecond, Output: 1}, func(err error) bool { return errors.Is(err, ErrTimeout) }},
		{"sleep", Limits{Time: 100 * time.Millisecond, Output: 1}, func(err error) bool { return err == nil || errors.Is(err, ErrTimeout) }},
		{"memory", some, func(err error) bool { return errors.Is(err, ErrMemory) }},
		{"flood", some, func(err error) bool { return errors.Is(err, ErrOutput) }},
		{"stderr", some, func(err error) bool {
			return errors.As(err, &exit) && exit.Code == 3 && len(exit.Stderr) == maxStderr
		}},
		{"panic at nothing", some, func(err error) bool {
			return errors.As(err, &exit) && exit.Code == 2 && strings.Contains(exit.Stderr, "at nothing") && !strings.Contains(err.Error(), "at nothing")
		}},
		{"recurse", some, func(err error) bool { return errors.As(err, &exit) || errors.Is(err, ErrMemory) }},
	} {
		t.Run(test.input, func(t *testing.T) {
			if _, err := run(t, p, test.limits, test.input); !test.is(err) {
				t.Errorf("%v", err)
			}
			if out, err := run(t, p, some, "echo hello"); out != "hello" || err != nil {
				t.Errorf("afterwards: %q, %v", out, err)
			}
		})
	}
}

// TestNothingElse looks at what a program has besides its input and output.
func TestNothingElse(t *testing.T) {
	t.Setenv("SECRET", "yes")
	out, err := run(t, newHostile(t), some, "look")
	if err != nil || out != "0 2022 1\n" {
		t.Errorf("%q, %v; want no environment, wazero's first year and one argument", out, err)
	}
}

// stuck is a stdin that has nothing to say until it is closed.
type stuck struct {
	once   sync.Once
	closed chan struct{}
}

func (s *stuck) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.ErrClosedPipe
}

func (s *stuck) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// TestEnds has runs end by what is around them.
func TestEnds(t *testing.T) {
	p := newHostile(t)
	errLeft := errors.New("left")
	ctx, leave := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { leave(errLeft) })
	if err := p.Run(ctx, some, &stuck{closed: make(chan struct{})}, io.Discard); !errors.Is(err, errLeft) {
		t.Errorf("the caller left: %v", err)
	}
	if err := p.Run(ctx, some, io.NopCloser(strings.NewReader("echo x\n")), io.Discard); !errors.Is(err, errLeft) {
		t.Errorf("the caller had left: %v", err)
	}
	late := Limits{Time: 50 * time.Millisecond, Output: 1}
	if err := p.Run(t.Context(), late, &stuck{closed: make(chan struct{})}, io.Discard); !errors.Is(err, ErrTimeout) {
		t.Errorf("no input came: %v", err)
	}
	reader, writer := io.Pipe()
	_ = writer.CloseWithError(errLeft)
	if err := p.Run(t.Context(), some, reader, io.Discard); !errors.Is(err, errLeft) {
		t.Errorf("the input failed: %v", err)
	}
	_, writer = io.Pipe()
	_ = writer.CloseWithError(errLeft)
	closed, out := io.Pipe()
	_ = closed.CloseWithError(errLeft)
	if err := p.Run(t.Context(), some, io.NopCloser(strings.NewReader("echo x\n")), out); !errors.Is(err, errLeft) {
		t.Errorf("nobody takes the output: %v", err)
	}
}

// TestFreshInstances: nothing of a run is there for the next, and more wait than places.
func TestFreshInstances(t *testing.T) {
	p := newHostile(t)
	p.Warm()
	var all sync.WaitGroup
	for range 3 * maxRuns {
		all.Go(func() {
			if out, err := run(t, p, some, "echo once"); out != "once" || err != nil {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	all.Wait()
}

// TestOthersRun while a program runs that never waits: what is not of it is not held up, and the collector
// is not either.
func TestOthersRun(t *testing.T) {
	p := newHostile(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	ended := make(chan error, 1)
	go func() {
		ended <- p.Run(ctx, some, io.NopCloser(strings.NewReader("loop\n")), io.Discard)
	}()
	runtime.Gosched()
	runtime.GC()
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("nothing else ran before it ended with %v", err)
	}
}

// TestBadModules are refused with the reason.
func TestBadModules(t *testing.T) {
	host, err := NewHost("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Close() }()
	header := "\x00asm\x01\x00\x00\x00"
	for _, test := range []struct{ name, binary, want string }{
		{"empty", "", "invalid magic"},
		{"text", "#!/bin/sh\n", "invalid magic"},
		{"no start", header + "\x05\x03\x01\x00\x01", "exports no _start"},
		{"another import", header + "\x01\x04\x01\x60\x00\x00" + "\x02\x0a\x01\x03env\x02go\x00\x00" + "\x05\x03\x01\x00\x01", "asks for env.go"},
		{"torn", header + "\x01\x7f", "compile torn"},
	} {
		if _, err := host.Compile(t.Context(), test.name, []byte(test.binary)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
