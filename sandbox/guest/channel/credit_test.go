package channel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// aFrame is one of HTTP/2's.
func aFrame(kind byte, stream uint32, payload []byte) []byte {
	out := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, 0}
	return append(binary.BigEndian.AppendUint32(out, stream), payload...)
}

// passed writes bytes through in pieces of a size, and returns what came out.
func passed(t *testing.T, c *credits, wire []byte, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	for len(wire) > 0 {
		n := min(size, len(wire))
		if err := c.pass(wire[:n], func(p []byte) error { out.Write(p); return nil }); err != nil {
			t.Fatal(err)
		}
		wire = wire[n:]
	}
	return out.Bytes()
}

// However the bytes are cut, frames pass in order, and updates once they are worth 64 KiB together.
func TestCreditsAreHeldUntilTheyAreWorthAWrite(t *testing.T) {
	t.Parallel()
	data := aFrame(0, 5, bytes.Repeat([]byte{0, 0, 4, typeCredit}, 999)) // whose payload looks like updates
	ping := aFrame(6, 0, make([]byte, 8))
	odd := aFrame(typeCredit, 5, make([]byte, 5)) // an error that is its reader's to find
	empty := aFrame(4, 0, nil)
	wire, want := []byte(preface), []byte(preface)
	for _, frame := range [][]byte{empty, data, credit{5, 40 << 10}.frame(nil), credit{0, 40 << 10}.frame(nil), ping, credit{7, 10}.frame(nil), data, odd} {
		if wire = append(wire, frame...); !isCredit(frame) {
			want = append(want, frame...)
		}
	}
	wire = append(append(wire, credit{5, 24 << 10}.frame(nil)...), data...)
	want = append(append(want, credit{5, 64 << 10}.frame(nil)...), data...)
	wire = append(wire, credit{9, 1 << 20}.frame(nil)...)
	want = append(want, credit{9, 1 << 20}.frame(nil)...)
	for _, size := range []int{1, 2, 3, 8, 9, 10, 13, 14, 100, 4096, len(wire)} {
		if got := passed(t, &credits{skip: len(preface)}, wire, size); !bytes.Equal(got, want) {
			t.Errorf("in pieces of %d: %d bytes came out, want %d", size, len(got), len(want))
		}
	}
}

// No more is remembered than 16 streams have: who is one too many sends all of them on.
func TestCreditsOfManyStreams(t *testing.T) {
	t.Parallel()
	var c credits
	var wire []byte
	for i := range uint32(1000) {
		wire = append(wire, credit{2*i + 1, 5000}.frame(nil)...)
	}
	out := passed(t, &c, wire, 777)
	if len(c.held) > maxHeldStreams || cap(c.held) > 2*maxHeldStreams || len(out) != (1000-len(c.held))*creditFrame {
		t.Errorf("%d are held, %d bytes came out", len(c.held), len(out))
	}
	broken := errors.New("broken")
	if err := c.pass(credit{1, 1 << 20}.frame(nil), func([]byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("an error became %v", err)
	}
}

// FuzzCredits: what comes out is what went in without updates, whose sum is what came out and what is held, less
// than 64 KiB each.
func FuzzCredits(f *testing.F) {
	f.Add([]byte("\x00\x01\x08\xff\x03\x08\xff"), uint8(7))
	f.Fuzz(func(t *testing.T, script []byte, size uint8) {
		var wire, want []byte
		owed := map[uint32]uint32{}
		for i := 0; i+1 < len(script) && i < 200; i += 2 {
			stream, n := uint32(script[i]%40), uint32(script[i+1])
			if script[i] < 128 {
				wire = append(wire, credit{stream, n << 8}.frame(nil)...)
				owed[stream] += n << 8
				continue
			}
			frame := aFrame(script[i]%8, stream, bytes.Repeat([]byte{typeCredit}, int(n)))
			wire, want = append(wire, frame...), append(want, frame...)
		}
		var c credits
		out := passed(t, &c, wire, int(size)+1)
		var got []byte
		for len(out) > 0 {
			n := frameHeader + payloadOf(out)
			if isCredit(out) {
				owed[binary.BigEndian.Uint32(out[5:])] -= binary.BigEndian.Uint32(out[frameHeader:])
			} else {
				got = append(got, out[:n]...)
			}
			out = out[n:]
		}
		for _, one := range c.held {
			if owed[one.stream] -= one.bytes; one.bytes >= minCredit {
				t.Errorf("stream %d: %d are held", one.stream, one.bytes)
			}
		}
		for stream, bytes := range owed {
			if bytes != 0 {
				t.Errorf("stream %d: %d came to nothing", stream, bytes)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes of frames came out, want %d", len(got), len(want))
		}
	})
}
