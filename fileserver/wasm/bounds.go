package wasm

import (
	"encoding/binary"
	"fmt"
)

// Bounds of a module: of what an instance of it would have the host allocate besides its memory, however small
// the module is.
const (
	// maxTable bounds the elements of all tables together: 8 bytes of the host's each.
	maxTable = 1 << 20
	// maxTables bounds the tables.
	maxTables = 64
	// maxLocals bounds the variables of one function, as browsers do.
	maxLocals = 50_000
)

const (
	sectionTable = 4
	sectionStart = 8
)

// checkStart refuses a module that does something before it is started: nothing could end that, as the fuse is
// known only of an instance that is there.
func checkStart(sections []section) error {
	if find(sections, sectionStart) != nil {
		return fmt.Errorf("%w: it has a start section, and only _start is run", errModule)
	}
	return nil
}

// boundTables gives every table a bound, which holds against table.grow as well.
func boundTables(sections []section) error {
	content := find(sections, sectionTable)
	if content == nil {
		return nil
	}
	r := &reader{rest: content}
	count := r.number()
	if count > maxTables {
		return fmt.Errorf("%w: it has %d tables, and may have %d", errModule, count, maxTables)
	}
	out := binary.AppendUvarint(nil, count)
	left := uint64(maxTable)
	for i := range count {
		kind := r.byte()
		if kind != 0x70 && kind != 0x6f { // functions, or references of the host's
			r.fail("a table of the kind %#x", kind)
		}
		least, most, bounded := r.bounds()
		if r.err != nil {
			return r.err
		}
		if least > left {
			return fmt.Errorf("%w: its tables have more than %d elements", errModule, maxTable)
		}
		room := max(least, left/(count-i))
		if bounded && most < room {
			room = most
		}
		left -= max(least, min(room, left))
		out = binary.AppendUvarint(binary.AppendUvarint(append(out, kind, 1), least), room)
	}
	for i := range sections {
		if sections[i].id == sectionTable {
			sections[i].content = out
		}
	}
	return r.err
}

// leastMemory returns how many bytes of memory an instance of a module begins with.
func leastMemory(module []byte) (int64, error) {
	sections, err := readSections(module)
	if err != nil {
		return 0, err
	}
	r := &reader{rest: find(sections, sectionMemory)}
	if len(r.rest) == 0 || r.number() == 0 {
		return 0, nil
	}
	least, _, _ := r.bounds()
	return int64(least) * pageBytes, r.err
}

// bounds reads those of a table or a memory.
func (r *reader) bounds() (least, most uint64, bounded bool) {
	flags := r.byte()
	least = r.number()
	if bounded = flags&1 != 0; bounded {
		most = r.number()
	}
	return least, most, bounded
}
