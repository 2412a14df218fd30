package wasm

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Instructions that are looked at or written.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opEnd          = 0x0b
	opBranch       = 0x0c
	opBranchIf     = 0x0d
	opBranchTable  = 0x0e
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableSet     = 0x26
	opLoadFirst    = 0x28
	opStoreLast    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45
	opI32Add       = 0x6a
	opPlainLast    = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opBulk         = 0xfc
	opVector       = 0xfd
)

// A reader reads a module. After an error it reads zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errModule, fmt.Sprintf(format, args...))
	}
	r.rest = nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail("it ends too early")
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// number reads an unsigned LEB128 number of 32 bits.
func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > math.MaxUint32 {
		r.fail("no number")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// skip passes over a LEB128 number of any kind.
func (r *reader) skip() {
	for range binary.MaxVarintLen64 {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail("a number too long")
}

// limits passes over those of a table or a memory.
func (r *reader) limits() {
	flags := r.byte()
	r.skip()
	if flags&1 != 0 {
		r.skip()
	}
}

// instruction passes over an instruction, and returns its code. One that names the fuse is refused: it has no
// business with it, and was invalid before there was one.
func (r *reader) instruction(fuse uint64) byte {
	op := r.byte()
	switch {
	case op == opGlobalGet, op == opGlobalSet:
		if r.number() >= fuse {
			r.fail("a variable that there is not")
		}
	case op >= opBlock && op <= opIf, op == opI32Const, op == opI64Const,
		op == opBranch, op == opBranchIf, op == opCall, op >= opLocalGet && op <= opTableSet, op == opRefFunc,
		op == opMemorySize, op == opMemoryGrow, op == opRefNull:
		r.skip()
	case op == opCallIndirect, op >= opLoadFirst && op <= opStoreLast:
		r.skip()
		r.skip()
	case op == opBranchTable:
		for range r.number() {
			r.skip()
			if r.err != nil {
				return op
			}
		}
		r.skip()
	case op == opSelectTyped:
		r.take(r.number())
	case op == opF32Const:
		r.take(4)
	case op == opF64Const:
		r.take(8)
	case op == opBulk:
		r.bulk()
	case op == opVector:
		r.vector()
	case op <= opPlainLast || op == opRefIsNull: // it stands alone
	default:
		r.fail("the instruction %#x is not known", op)
	}
	return op
}

// bulk passes over what follows 0xfc: conversions, and work on memories and tables.
func (r *reader) bulk() {
	switch kind := r.number(); {
	case kind <= 7: // conversions
	case kind == 8, kind == 10, kind == 12, kind == 14: // memory.init and copy, table.init and copy
		r.skip()
		r.skip()
	case kind <= 17:
		r.skip()
	default:
		r.fail("the instruction 0xfc %d is not known", kind)
	}
}

// vector passes over what follows 0xfd.
func (r *reader) vector() {
	switch kind := r.number(); {
	case kind <= 11, kind == 92, kind == 93: // loads and stores
		r.skip()
		r.skip()
	case kind == 12, kind == 13: // a constant, a shuffle
		r.take(16)
	case kind >= 21 && kind <= 34: // lanes
		r.take(1)
	case kind >= 84 && kind <= 91: // loads and stores of lanes
		r.skip()
		r.skip()
		r.take(1)
	case kind > 255:
		r.fail("the instruction 0xfd %d is not known", kind)
	}
}
