// Package wasm runs WASI programs (preview 1) on what nobody trusts. A program has what it is given on its
// stdin, the files of a [Tree], what it writes to its stdout, and nothing else: no file of the host's, no network, no environment, no clock
// that tells the time and no randomness but what it is seeded with. Each run is a fresh instance with a
// bounded memory, a deadline and a bounded output.
package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

const (
	pageBytes = 64 << 10
	// maxMemory is the most that one instance has, in bytes.
	maxMemory = 512 << 20
	// maxRuns are how many instances work at once; the others wait.
	maxRuns = 4
)

// Limits bound one run.
type Limits struct {
	Time   time.Duration // from when it gets its input; it must be positive
	Output int64         // bytes of stdout; it must be positive
	Memory int64         // bytes of memory; zero, and more than 512 MiB, mean 512 MiB
}

// A Host compiles programs and runs them. Its methods may be called by any number of goroutines.
// Close must be called.
type Host struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache
	base    context.Context //nolint:containedctx // of all instances, until Close
	stop    context.CancelCauseFunc
	places  chan struct{}

	mu     sync.Mutex
	closed bool           // guarded by mu
	work   sync.WaitGroup // added to while it is not closed
}

// NewHost returns a host that keeps what it compiles in cacheDir, which it makes, and which nobody else
// may write to: what is in there runs as the host's own code. Without cacheDir it compiles at every start.
func NewHost(cacheDir string) (*Host, error) {
	cache, err := newCache(cacheDir)
	if err != nil {
		return nil, err
	}
	base, stop := context.WithCancelCause(context.Background())
	config := wazero.NewRuntimeConfig().
		WithCompilationCache(cache).
		WithMemoryLimitPages(maxMemory / pageBytes)
	h := &Host{
		runtime: wazero.NewRuntimeWithConfig(base, config), cache: cache,
		base: base, stop: stop, places: make(chan struct{}, maxRuns),
	}
	if err := h.instantiateWASI(base); err != nil {
		return nil, errors.Join(fmt.Errorf("make the WASI module: %w", err), h.Close())
	}
	return h, nil
}

// instantiateWASI makes what programs import. They cannot give a descriptor a number of their own: the host would
// make room for all those below it, which is gigabytes for a large one.
func (h *Host) instantiateWASI(ctx context.Context) error {
	builder := h.runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(builder)
	const notSupported = 58 // errno of preview 1
	builder.NewFunctionBuilder().WithFunc(func(_, _ uint32) uint32 { return notSupported }).Export("fd_renumber")
	_, err := builder.Instantiate(ctx)
	return err
}

func newCache(dir string) (wazero.CompilationCache, error) {
	if dir == "" {
		return wazero.NewCompilationCache(), nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the cache of compiled programs: %w", err)
	}
	return cache, nil
}

// begin notes an instance, unless the host is closed. After nil, work.Done must be called.
func (h *Host) begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.work.Add(1)
	return nil
}

// Close ends every run, and waits for them. Runs afterwards fail with [ErrClosed].
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop(ErrClosed)
	h.work.Wait()
	ctx := context.Background()
	return errors.Join(h.runtime.Close(ctx), h.cache.Close(ctx))
}

// Compile compiles a program, or finds it in the cache. The name is for errors.
func (h *Host) Compile(ctx context.Context, name string, binary []byte) (*Program, error) {
	module, err := h.compile(ctx, name, binary)
	if err != nil {
		return nil, err
	}
	for _, function := range module.ImportedFunctions() {
		if from, what, _ := function.Import(); from != wasi_snapshot_preview1.ModuleName {
			return nil, errors.Join(fmt.Errorf("%s asks for %s.%s, and there is nothing but WASI preview 1", name, from, what), module.Close(ctx))
		}
	}
	start, ok := module.ExportedFunctions()["_start"]
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is no WASI command: it exports no _start", name), module.Close(ctx))
	}
	if len(start.ParamTypes())+len(start.ResultTypes()) > 0 {
		return nil, errors.Join(fmt.Errorf("%s is no WASI command: its _start takes or returns something", name), module.Close(ctx))
	}
	least, err := leastMemory(binary)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compile %s: %w", name, err), module.Close(ctx))
	}
	return &Program{host: h, name: name, module: module, least: least}, nil
}

// compile compiles a module with a fuse in it.
func (h *Host) compile(ctx context.Context, name string, binary []byte) (wazero.CompiledModule, error) {
	fused, err := addFuse(binary)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", name, err)
	}
	module, err := h.runtime.CompileModule(ctx, fused)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", name, err)
	}
	return module, nil
}

// blowWith blows the fuse of a module when ctx ends, and returns what calls that off. What runs in the
// module traps at its next loop or call; what waits in a function of the host's must be ended there.
func blowWith(ctx context.Context, module api.Module) (func() bool, error) {
	fuse, ok := module.ExportedGlobal(fuseName).(api.MutableGlobal)
	if !ok {
		return nil, errors.New("a module has no fuse")
	}
	return context.AfterFunc(ctx, func() { fuse.Set(1) }), nil
}

// Errors of runs. Each but the first is of what was run, not of the host.
var (
	// ErrClosed: the host was closed.
	ErrClosed = errors.New("the gateway is shutting down")
	// ErrTimeout: it had not ended at its deadline.
	ErrTimeout = errors.New("it took too long")
	// ErrOutput: it wrote more than it may.
	ErrOutput = errors.New("it wrote too much")
	// ErrMemory: it needed more memory than it may have.
	ErrMemory = errors.New("it needed too much memory")
)

// An ExitError is the end of a run that failed by itself.
type ExitError struct {
	Program string
	Code    uint32 // 0 where it trapped
	Stderr  string // the beginning of what it said, which is untrusted text
}

// Error names the program and its exit code, and not what it said.
func (e *ExitError) Error() string {
	if e.Code == 0 {
		return e.Program + " trapped"
	}
	return fmt.Sprintf("%s ended with exit code %d", e.Program, e.Code)
}

// exitCode returns the code of a run that ended by itself.
func exitCode(err error) (uint32, bool) {
	var exit *sys.ExitError
	if !errors.As(err, &exit) {
		return 0, false
	}
	return exit.ExitCode(), true
}
