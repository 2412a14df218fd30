package archive

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
)

// x86 undoes the filter of programs for x86: the four bytes behind each of the bytes E8 and E9, calls and
// jumps, became the place that they lead to, and are made again how far that is. Whether they did depends on
// the bytes around them, as the filter must not be fooled by what only looks like a call.
type x86 struct {
	from   io.Reader
	buffer []byte
	ready  int    // bytes of the buffer that are done
	place  uint32 // of the buffer's first byte in the stream
	last   uint32 // where a byte like the first of a call was
	doubts uint32 // what was near it: bits of bytes like a call's first, and of such whose last was like a call's
	failed error
}

func newX86(from io.Reader) *x86 {
	return &x86{from: from, buffer: make([]byte, 0, 64<<10), last: ^uint32(0)}
}

// callBytes is how long a call is.
const callBytes = 5

func (x *x86) Read(to []byte) (int, error) {
	for x.ready == 0 {
		if x.failed != nil {
			return 0, x.failed
		}
		n, err := x.from.Read(x.buffer[len(x.buffer):cap(x.buffer)])
		x.buffer = x.buffer[:len(x.buffer)+n]
		x.ready = x.undo(x.buffer)
		if err != nil {
			if x.failed = err; errors.Is(err, io.EOF) {
				x.ready = len(x.buffer) // what is shorter than a call is as it was
			}
		}
	}
	n := copy(to, x.buffer[:x.ready])
	x.place += uint32(n)
	x.ready -= n
	x.buffer = x.buffer[:copy(x.buffer[:cap(x.buffer)], x.buffer[n:])]
	return n, nil
}

// undo makes the calls again, and returns how many bytes are done.
func (x *x86) undo(b []byte) int {
	i := 0
	for i+callBytes <= len(b) {
		if b[i]&0xfe != 0xe8 {
			i++
			continue
		}
		here := x.place + uint32(i)
		x.age(here)
		near := x.doubts >> 1
		if !edge(b[i+4]) || near > 4 || near == 3 {
			x.doubts |= 1
			if edge(b[i+4]) {
				x.doubts |= 0x10
			}
			i++
			continue
		}
		far := binary.LittleEndian.Uint32(b[i+1:]) - here - callBytes
		if shift := 24 - 8*bits.Len32(near); x.doubts != 0 && edge(byte(far>>shift)) {
			far = (far ^ (1<<(shift+8) - 1)) - here - callBytes
		}
		binary.LittleEndian.PutUint32(b[i+1:], far)
		b[i+4] = byte(-(far >> 24 & 1))
		x.doubts = 0
		i += callBytes
	}
	return i
}

// age forgets what is too far before a place to matter there.
func (x *x86) age(here uint32) {
	gap := here - x.last
	x.last = here
	if gap > callBytes {
		x.doubts = 0
		return
	}
	for range gap {
		x.doubts = x.doubts & 0x77 << 1
	}
}

// edge tells whether a byte may be the highest of how far a call leads: programs are not large.
func edge(b byte) bool { return b == 0 || b == 0xff }
