package wasm

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
)

// refillAfter is how long after a run the instance for the next is started.
const refillAfter = 10 * time.Millisecond

// A Program is a compiled program, which is freed with its host. Its methods may be called by any number of goroutines.
type Program struct {
	host   *Host
	name   string
	module wazero.CompiledModule
	least  int64 // bytes of memory that an instance begins with
	spare  spare
}

// LeastMemory returns how many bytes of memory an instance begins with.
func (p *Program) LeastMemory() int64 { return p.least }

// Close frees the program. Nothing of it may run, and nothing may be run any more. A host frees all its programs.
func (p *Program) Close(ctx context.Context) error { return p.module.Close(ctx) }

// Run runs the program once: it reads stdin, and what it writes goes to stdout. Stdin is closed at the end,
// which must end a Read of it that is under way. Errors: [ErrTimeout], [ErrOutput], [ErrMemory], an
// [*ExitError], ctx's, and those of stdin and stdout, which end the run. When it returns, nothing of the
// run is left, and stdin and stdout are used no more.
func (p *Program) Run(ctx context.Context, limits Limits, stdin io.ReadCloser, stdout io.Writer) error {
	return p.RunOn(ctx, nil, limits, stdin, stdout)
}

// RunOn is [Program.Run] with files, which nobody else may use until it returns. Nil: there are none.
func (p *Program) RunOn(ctx context.Context, files *Tree, limits Limits, stdin io.ReadCloser, stdout io.Writer) error {
	defer func() { _ = stdin.Close() }()
	select {
	case p.host.places <- struct{}{}:
		defer func() { <-p.host.places }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var run *instance
	if files == nil && limits.Memory == 0 { // as those are that were started ahead
		run = p.spare.take()
	}
	if run == nil {
		if run = p.start(files, limits.Memory); run == nil {
			return ErrClosed
		}
	}
	defer p.spare.refillSoon(p)
	return run.give(ctx, limits, stdin, stdout)
}

// Warm starts an instance ahead, and from now on one after each run, so that runs need not wait for one.
// It is for programs that are trusted to do nothing before they have their input.
func (p *Program) Warm() {
	p.spare.open()
	p.spare.refill(p)
}

// instance is one run of a program, from its start, which needs no input, to its end.
type instance struct {
	stop   context.CancelCauseFunc
	stdin  *inlet
	stdout *outlet
	stderr head
	memory memory
	files  *Tree      // nil: none
	ended  chan error // gets one value
}

// start starts an instance, which works until it asks for input. Of memory, zero means the most that there is. It
// returns nil when the host is closed.
func (p *Program) start(files *Tree, most int64) *instance {
	if p.host.begin() != nil {
		return nil
	}
	ctx, stop := context.WithCancelCause(p.host.base)
	g := &gate{ctx: ctx, opened: make(chan struct{})}
	run := &instance{stop: stop, stdin: &inlet{gate: g, stop: stop}, stdout: &outlet{gate: g, stop: stop}, files: files, ended: make(chan error, 1)}
	run.memory.most = min(cmp.Or(most, maxMemory), maxMemory)
	if files != nil {
		files.full = func() { stop(ErrOutput) }
	}
	go func() {
		defer p.host.work.Done()
		defer func() { // of wazero's, as what a program does is an error
			if recovered := recover(); recovered != nil {
				run.ended <- &ExitError{Program: p.name}
			}
		}()
		run.ended <- p.why(ctx, run, p.work(ctx, run))
	}()
	return run
}

// work makes an instance and runs it to its end.
func (p *Program) work(ctx context.Context, run *instance) (err error) {
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithArgs(p.name).
		WithStdin(run.stdin).WithStdout(run.stdout).WithStderr(&run.stderr)
	if run.files != nil {
		config = config.WithFSConfig(run.files.mount())
	}
	module, err := p.host.runtime.InstantiateModule(run.memory.with(ctx), p.module, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, module.Close(context.Background())) }()
	keep, err := blowWith(ctx, module)
	if err != nil {
		return err
	}
	defer keep()
	_, err = module.ExportedFunction("_start").Call(ctx)
	return err
}

// give lets an instance have its input, and waits for its end.
func (run *instance) give(ctx context.Context, limits Limits, stdin io.ReadCloser, stdout io.Writer) error {
	defer run.stop(context.Canceled)
	end := func(why error) {
		run.stop(why)
		_ = stdin.Close()
	}
	late := time.AfterFunc(limits.Time, func() { end(ErrTimeout) })
	defer late.Stop()
	left := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	defer left()
	run.stdin.from, run.stdout.to, run.stdout.left = stdin, stdout, limits.Output
	run.stdin.gate.open()
	return <-run.ended
}

// why returns why an instance ended, nil where it did so well.
func (p *Program) why(ctx context.Context, run *instance, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err == nil {
		return nil
	}
	code, exited := exitCode(err)
	if exited && code == 0 {
		return nil
	}
	// Go's runtime says so, and then exits with 2, where the memory cannot have as much as it would ask for.
	if run.memory.refused || exited && strings.Contains(run.stderr.String(), "out of memory") {
		return ErrMemory
	}
	return &ExitError{Program: p.name, Code: code, Stderr: run.stderr.String()}
}

// spare is an instance that was started ahead.
type spare struct {
	mu       sync.Mutex
	wanted   bool
	instance *instance
}

func (s *spare) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = true
}

// take returns the instance that waits, nil where there is none.
func (s *spare) take() *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.instance
	s.instance = nil
	return run
}

func (s *spare) refill(p *Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted && s.instance == nil {
		s.instance = p.start(nil, 0)
	}
}

// refillSoon starts an instance when whoever waits for what was read has had the time to be answered: starting
// one takes a processor for some milliseconds.
func (s *spare) refillSoon(p *Program) {
	if s.wants() {
		time.AfterFunc(refillAfter, func() { s.refill(p) })
	}
}

func (s *spare) wants() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted && s.instance == nil
}
