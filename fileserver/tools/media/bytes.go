package media

import "encoding/binary"

// A view is a piece of a file. What is beyond its end is zero or empty, so that a damaged file needs no
// checks where it is read.
type view struct {
	data  []byte
	order binary.ByteOrder
}

func big(data []byte) view    { return view{data: data, order: binary.BigEndian} }
func little(data []byte) view { return view{data: data, order: binary.LittleEndian} }

// bytes returns at most n bytes from a position.
func (v view) bytes(at, n int) []byte {
	if at < 0 || n <= 0 || at >= len(v.data) {
		return nil
	}
	return v.data[at:][:min(n, len(v.data)-at)]
}

// has tells that n bytes from a position are there.
func (v view) has(at, n int) bool { return n >= 0 && len(v.bytes(at, n)) == n }

func (v view) text(at, n int) string { return string(v.bytes(at, n)) }

func (v view) u8(at int) int {
	if !v.has(at, 1) {
		return 0
	}
	return int(v.data[at])
}

func (v view) u16(at int) int {
	if !v.has(at, 2) {
		return 0
	}
	return int(v.order.Uint16(v.data[at:]))
}

func (v view) u24(at int) int {
	if v.order == binary.ByteOrder(binary.BigEndian) {
		return v.u8(at)<<16 | v.u16(at+1)
	}
	return v.u16(at) | v.u8(at+2)<<16
}

func (v view) u32(at int) int {
	if !v.has(at, 4) {
		return 0
	}
	return int(v.order.Uint32(v.data[at:]))
}

// u64 returns a number of 64 bits, -1 for one that no file has.
func (v view) u64(at int) int {
	if !v.has(at, 8) {
		return 0
	}
	if n := v.order.Uint64(v.data[at:]); n < 1<<62 {
		return int(n)
	}
	return -1
}
