package wasm

import (
	"context"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// memory is what one instance may have, and had.
type memory struct {
	most    int64 // bytes
	refused bool  // it asked for more
}

// with has the instances that are made with the context keep their memory outside of Go's heap: it
// grows in place, without being copied, Go's collector does not look at it, and when the instance is closed
// the host has it back at once.
func (m *memory) with(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, most uint64) experimental.LinearMemory {
		const access, kind = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE
		all, err := unix.Mmap(-1, 0, int(min(most, uint64(m.most))), access, kind) // addresses only, until they are used
		if err != nil {
			return &mapped{of: m}
		}
		return &mapped{of: m, all: all}
	}))
}

// mapped is the memory of one instance.
type mapped struct {
	of  *memory
	all []byte
}

// Reallocate returns the first size bytes, nil where there are not as many.
func (m *mapped) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		m.of.refused = true
		return nil
	}
	return m.all[:size:size]
}

// Free gives the memory back. Nothing of the instance may run.
func (m *mapped) Free() {
	if m.all != nil {
		_ = unix.Munmap(m.all) // it is what was mapped
		m.all = nil
	}
}
