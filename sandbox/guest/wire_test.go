package guest

import (
	"errors"
	"io"
	"testing"
)

// TestKernelTellsForgedMessages plays a kernel whose last cell had the key 1, and whose present one has 2.
func TestKernelTellsForgedMessages(t *testing.T) {
	for _, c := range []struct {
		name          string
		packets       []string
		heard, settle error // of a running cell, and before one is sent
	}{
		{"its own end", []string{`.{"op":"done","key":2}`}, nil, errForged},
		{"the last one's, said twice", []string{`.{"op":"done","key":1}`, `.{"op":"done","key":2}`}, nil, errForged},
		{"only that", []string{`.{"op":"done","key":1}`}, io.EOF, nil},
		{"a late display", []string{`.{"op":"display","key":1}`, `+{"op":"disp`, `.lay","key":1}`}, io.EOF, nil},
		{"the end of another", []string{`.{"op":"done","key":3}`, `.{"op":"done","key":2}`}, errForged, errForged},
		{"an end without a key", []string{`.{"op":"done"}`}, errForged, errForged},
		{"half a message before the end", []string{`+{"op":"done"`, `.{"op":"done","key":2}`}, errForged, errForged},
		{"half a message", []string{`+{"op":"display","key":1`}, io.EOF, io.EOF},
		{"no packet", []string{`?`}, errForged, errForged},
		{"no message", []string{`.[1]`}, errForged, errForged},
	} {
		play := func() *kernel {
			conn, theirs, err := seqpacketPair()
			if err != nil {
				t.Fatal(err)
			}
			k := &kernel{last: 1}
			if k.wire, err = newKernelWire(conn); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeAll(conn) })
			for _, stream := range []**pipe{&k.stdout, &k.stderr, &k.late} {
				end, write, err := newPipe(discard)
				if err != nil {
					t.Fatal(err)
				}
				*stream = end
				t.Cleanup(func() { closeAll(write); end.close() })
			}
			for _, packet := range c.packets {
				if _, err := theirs.Write([]byte(packet)); err != nil {
					t.Fatal(err)
				}
			}
			closeAll(theirs)
			return k
		}
		if _, err := play().hear(2); !errors.Is(err, c.heard) {
			t.Errorf("%s, while a cell runs: %v, want %v", c.name, err, c.heard)
		}
		err := play().settle()
		if errors.Is(err, io.EOF) && c.settle == nil {
			err = nil // what was played ends
		}
		if !errors.Is(err, c.settle) {
			t.Errorf("%s, before a cell: %v, want %v", c.name, err, c.settle)
		}
	}
}
