package archive

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
)

// A sevenHeader reads the parts of a 7z archive's header; see 7zFormat.txt of the LZMA SDK. After an error
// it reads zeros. A count is never believed beyond the bytes that are left, as each counted thing has one.
type sevenHeader struct {
	rest []byte
	err  error
}

func (h *sevenHeader) fail() {
	if h.err == nil {
		h.err = fail(Damaged, "its header is damaged")
	}
	h.rest = nil
}

// bytes returns the next n.
func (h *sevenHeader) bytes(n uint64) []byte {
	if n > uint64(len(h.rest)) {
		h.fail()
		return nil
	}
	taken := h.rest[:n]
	h.rest = h.rest[n:]
	return taken
}

func (h *sevenHeader) byte() byte {
	if b := h.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// number reads a number: the ones that its first byte begins with say how many bytes follow it.
func (h *sevenHeader) number() uint64 {
	first := h.byte()
	more := bits.LeadingZeros8(^first)
	var low [8]byte
	copy(low[:], h.bytes(uint64(more)))
	value := binary.LittleEndian.Uint64(low[:])
	if more < 7 {
		value |= uint64(first&(0x7f>>more)) << (8 * more)
	}
	return value
}

// count reads how many things follow.
func (h *sevenHeader) count() int {
	n := h.number()
	if n > uint64(len(h.rest)) {
		h.fail()
		return 0
	}
	return int(n)
}

// bits reads a set of some of n things.
func (h *sevenHeader) bits(n int) []bool {
	packed := h.bytes(uint64(n+7) / 8)
	set := make([]bool, n)
	for i := range set {
		set[i] = packed != nil && packed[i/8]&(0x80>>(i%8)) != 0
	}
	return set
}

// some reads a set that may be that of all.
func (h *sevenHeader) some(n int) []bool {
	if h.byte() == 0 {
		return h.bits(n)
	}
	if n > 4*len(h.rest) { // what they have follows
		h.fail()
		return make([]bool, n)
	}
	set := make([]bool, n)
	for i := range set {
		set[i] = true
	}
	return set
}

// numbers reads some numbers.
func (h *sevenHeader) numbers(n int) []uint64 {
	values := make([]uint64, n)
	for i := range values {
		values[i] = h.number()
	}
	return values
}

// sums reads the CRC32 of some of n things, nil for those that have none.
func (h *sevenHeader) sums(n int) []*uint32 {
	sums := make([]*uint32, n)
	for i, defined := range h.some(n) {
		if defined {
			if raw := h.bytes(4); raw != nil {
				sum := binary.LittleEndian.Uint32(raw)
				sums[i] = &sum
			}
		}
	}
	return sums
}

// name reads a name, in UTF-16 up to a zero.
func (h *sevenHeader) name() string {
	var units []uint16
	for {
		raw := h.bytes(2)
		if raw == nil {
			return ""
		}
		unit := binary.LittleEndian.Uint16(raw)
		if unit == 0 {
			return string(utf16.Decode(units))
		}
		if len(units) < 2*maxName { // longer ones are left out anyway
			units = append(units, unit)
		}
	}
}
