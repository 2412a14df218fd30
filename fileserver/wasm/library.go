package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/emscripten"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// A Library is a compiled module whose functions are called one by one, such as a C library that
// Emscripten built. It is freed with its host. Its methods may be called by any number of goroutines.
type Library struct {
	host   *Host
	name   string
	module wazero.CompiledModule
}

// CompileLibrary compiles a library that Emscripten built. Of what it asks for besides WASI it gets what
// handles its exceptions; a call of anything else ends the instance. A host has one such library.
func (h *Host) CompileLibrary(ctx context.Context, name string, binary []byte) (*Library, error) {
	module, err := h.compile(ctx, name, binary)
	if err != nil {
		return nil, err
	}
	builder := h.runtime.NewHostModuleBuilder("env")
	known, err := emscripten.NewFunctionExporterForModule(module)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compile %s: %w", name, err), module.Close(ctx))
	}
	for _, function := range module.ImportedFunctions() {
		from, what, _ := function.Import()
		switch from {
		case wasi_snapshot_preview1.ModuleName:
		case "env":
			builder.NewFunctionBuilder().WithGoModuleFunction(refused(what), function.ParamTypes(), function.ResultTypes()).Export(what)
		default:
			return nil, errors.Join(fmt.Errorf("%s asks for %s.%s, which nobody has", name, from, what), module.Close(ctx))
		}
	}
	known.ExportFunctions(builder) // in place of those refused
	if _, err := builder.Instantiate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("compile %s: %w", name, err), module.Close(ctx))
	}
	return &Library{host: h, name: name, module: module}, nil
}

// refused is a function that a library may import and not call.
func refused(name string) api.GoModuleFunc {
	return func(context.Context, api.Module, []uint64) {
		panic(fmt.Errorf("%s was called, which is not given to it", name)) //nolint:forbidigo // wazero ends the instance with it
	}
}

// An Instance is a library with a memory of its own. It is used by one goroutine, and believed nothing: what
// it returns are numbers and bytes of its memory.
type Instance struct {
	library *Library
	module  api.Module
	ctx     context.Context //nolint:containedctx // of the instance, which is a call
	leave   []func() bool
	called  map[string]api.Function
	stack   [16]uint64
}

// Open makes an instance, which lives no longer than ctx: its calls end with ctx's cause then. It waits for
// a place as runs do. Close must be called.
func (l *Library) Open(ctx context.Context) (*Instance, error) {
	select {
	case l.host.places <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := l.host.begin(); err != nil {
		<-l.host.places
		return nil, err
	}
	i, err := l.start(ctx)
	if err != nil {
		l.free()
		return nil, err
	}
	return i, nil
}

func (l *Library) start(ctx context.Context) (_ *Instance, err error) {
	defer func() { // of wazero's: the host has no memory for it
		if recovered := recover(); recovered != nil {
			err = ErrMemory
		}
	}()
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	module, err := l.host.runtime.InstantiateModule((&memory{most: maxMemory}).with(ctx), l.module, config)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", l.name, err)
	}
	i := &Instance{library: l, module: module, ctx: ctx, called: make(map[string]api.Function)}
	for _, end := range []context.Context{ctx, l.host.base} {
		keep, err := blowWith(end, module)
		if err != nil {
			return nil, errors.Join(err, module.Close(context.Background()))
		}
		i.leave = append(i.leave, keep)
	}
	if _, err := i.Call("_initialize"); err != nil {
		return nil, errors.Join(err, module.Close(context.Background()))
	}
	return i, nil
}

func (l *Library) free() {
	l.host.work.Done()
	<-l.host.places
}

// Close ends the instance.
func (i *Instance) Close() error {
	for _, leave := range i.leave {
		leave()
	}
	err := i.module.Close(context.Background())
	i.library.free()
	return err
}

// Call calls a function, whose arguments, at most 16, and result are as WebAssembly has them. A function
// without a result returns its first argument. Errors: ctx's cause, and an [*ExitError].
func (i *Instance) Call(function string, args ...uint64) (uint64, error) {
	if cause := context.Cause(i.ctx); cause != nil {
		return 0, cause
	}
	f := i.called[function]
	if f == nil {
		if f = i.module.ExportedFunction(function); f == nil {
			return 0, fmt.Errorf("%s has no %s", i.library.name, function)
		}
		i.called[function] = f
	}
	stack := i.stack[:max(1, copy(i.stack[:], args))]
	if err := f.CallWithStack(context.Background(), stack); err != nil {
		if cause := cmp.Or(context.Cause(i.ctx), context.Cause(i.library.host.base)); cause != nil {
			return 0, cause
		}
		code, _ := exitCode(err)
		return 0, &ExitError{Program: i.library.name, Code: code}
	}
	return stack[0], nil
}

// Alloc allocates size bytes in the instance's memory. Errors: [ErrMemory], and those of Call.
func (i *Instance) Alloc(size int) (uint32, error) {
	if size < 0 || size > maxMemory {
		return 0, ErrMemory
	}
	at, err := i.Call("malloc", uint64(size))
	if err == nil && uint32(at) == 0 {
		err = ErrMemory
	}
	return uint32(at), err
}

// Read returns the size bytes at an address, as they are until the next call.
func (i *Instance) Read(at uint32, size int) ([]byte, error) {
	if size >= 0 && size <= maxMemory {
		if data, ok := i.module.Memory().Read(at, uint32(size)); ok {
			return data, nil
		}
	}
	return nil, &ExitError{Program: i.library.name}
}

// Write writes data at an address.
func (i *Instance) Write(at uint32, data []byte) error {
	if !i.module.Memory().Write(at, data) {
		return &ExitError{Program: i.library.name}
	}
	return nil
}
