package channel

import "encoding/binary"

// HTTP/2's frames as RFC 9113 has them (sections 3.4, 4.1 and 6.9), as far as they matter here.
const (
	preface        = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeader    = 9 // length (3), type, flags, stream (4)
	creditFrame    = frameHeader + 4
	typeCredit     = 8         // WINDOW_UPDATE
	streamMask     = 1<<31 - 1 // without the reserved bit
	minCredit      = 64 << 10
	maxHeldStreams = 16
)

// credits go through what one end of a connection writes and hold its window updates back until a
// stream's are worth 64 KiB together. net/http sends one whenever 4 KiB have been read, and each wakes
// the engine, its shim and the other end: a file that is moved spent more on them than on itself.
//
// Nobody waits for what is held. It is less than 64 KiB a stream and for the connection, and either
// window is at least 256 KiB: a sender always has the rest.
type credits struct {
	skip int               // bytes that pass as they are, before the next frame's header
	head [creditFrame]byte // of a frame whose header was cut, or that is an update
	have int               // bytes in head
	held []credit
}

// credit is what a stream, or the connection as 0, may be sent more.
type credit struct{ stream, bytes uint32 }

// pass gives emit what is to be written of p, in order. emit must not keep it.
func (c *credits) pass(p []byte, emit func([]byte) error) error {
	begin, at := 0, 0 // of what passes as it is
	for at < len(p) {
		if c.skip > 0 {
			n := min(c.skip, len(p)-at)
			c.skip, at = c.skip-n, at+n
			continue
		}
		if rest := p[at:]; c.have == 0 && len(rest) >= frameHeader && !isCredit(rest) {
			c.skip = frameHeader + payloadOf(rest)
			continue
		}
		if err := some(p[begin:at], emit); err != nil {
			return err
		}
		n := c.collect(p[at:])
		begin, at = at+n, at+n
		if err := c.settle(emit); err != nil {
			return err
		}
	}
	return some(p[begin:at], emit)
}

// collect takes as much of p as belongs to a header, or to an update, and returns how much.
func (c *credits) collect(p []byte) (n int) {
	want := frameHeader
	if c.have >= frameHeader { // and it is an update
		want = creditFrame
	}
	n = copy(c.head[c.have:want], p)
	c.have += n
	return n
}

// settle does what the collected bytes ask for, once they are enough.
func (c *credits) settle(emit func([]byte) error) error {
	switch {
	case c.have < frameHeader, c.have < creditFrame && isCredit(c.head[:]):
		return nil
	case c.have == frameHeader:
		c.skip, c.have = payloadOf(c.head[:]), 0
		return emit(c.head[:frameHeader])
	}
	c.have = 0
	return some(c.hold(binary.BigEndian.Uint32(c.head[5:])&streamMask, binary.BigEndian.Uint32(c.head[frameHeader:])&streamMask), emit)
}

// hold adds to what is held, and returns the updates that are to be written now. Those of streams that
// have ended stay until others need their place: the peer ignores them.
func (c *credits) hold(stream, bytes uint32) []byte {
	for i := range c.held {
		if c.held[i].stream != stream {
			continue
		}
		if c.held[i].bytes += bytes; c.held[i].bytes < minCredit {
			return nil
		}
		due := c.held[i].frame(nil)
		c.held[i] = c.held[len(c.held)-1]
		c.held = c.held[:len(c.held)-1]
		return due
	}
	added := credit{stream, bytes}
	if bytes >= minCredit {
		return added.frame(nil)
	}
	var due []byte
	if len(c.held) == maxHeldStreams {
		for _, one := range c.held {
			due = one.frame(due)
		}
		c.held = c.held[:0]
	}
	c.held = append(c.held, added)
	return due
}

// frame appends a credit as HTTP/2 writes it.
func (c credit) frame(buf []byte) []byte {
	buf = append(buf, 0, 0, creditFrame-frameHeader, typeCredit, 0)
	buf = binary.BigEndian.AppendUint32(buf, c.stream)
	return binary.BigEndian.AppendUint32(buf, c.bytes)
}

func isCredit(header []byte) bool {
	return header[3] == typeCredit && payloadOf(header) == creditFrame-frameHeader
}

func payloadOf(header []byte) int {
	return int(header[0])<<16 | int(header[1])<<8 | int(header[2])
}

// some emits what is not nothing.
func some(p []byte, emit func([]byte) error) error {
	if len(p) == 0 {
		return nil
	}
	return emit(p)
}
