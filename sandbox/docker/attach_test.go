package docker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func frameOf(stream byte, payload string) string {
	var header [8]byte
	header[0] = stream
	binary.BigEndian.PutUint32(header[4:], uint32(len(payload)))
	return string(header[:]) + payload
}

func TestAttachmentDemultiplexes(t *testing.T) {
	long := strings.Repeat("l", 3*attachBuffer)
	for _, test := range []struct {
		name, wire, out, tail string
		err                   error
	}{
		{"empty", "", "", "", nil},
		{"both", frameOf(1, "a") + frameOf(2, "e1") + frameOf(1, "") + frameOf(1, "b") + frameOf(2, "e2"), "ab", "e1e2", nil},
		{"long", frameOf(1, long) + frameOf(1, "x"), long + "x", "", nil},
		{"engine", frameOf(3, "broken"), "", "broken", nil},
		{"cut header", frameOf(1, "a") + "\x01\x00", "a", "", io.ErrUnexpectedEOF},
		{"cut payload", frameOf(1, "abc")[:10], "ab", "", io.ErrUnexpectedEOF},
		{"cut stderr", frameOf(2, "abc")[:10], "", "ab", io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			stream := newAttachment(nil, strings.NewReader(test.wire))
			got, err := io.ReadAll(stream)
			if string(got) != test.out || !errors.Is(err, test.err) {
				t.Errorf("read %d bytes, %v; want %d, %v", len(got), err, len(test.out), test.err)
			}
			if stream.tail.String() != test.tail {
				t.Errorf("stderr = %q, want %q", stream.tail, test.tail)
			}
		})
	}
	if _, err := io.ReadAll(newAttachment(nil, strings.NewReader(frameOf(9, "x")))); err == nil {
		t.Error("an unknown stream was accepted")
	}
}

func TestAttachmentReadsWithoutAllocating(t *testing.T) {
	wire := bytes.NewReader([]byte(strings.Repeat(frameOf(1, strings.Repeat("x", 1000)), 10)))
	stream := newAttachment(nil, wire)
	p := make([]byte, 4096)
	if got := testing.AllocsPerRun(100, func() {
		_, _ = wire.Seek(0, io.SeekStart)
		for {
			if _, err := stream.Read(p); err != nil {
				return
			}
		}
	}); got != 0 {
		t.Errorf("%v allocations a pass", got)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	tests := []struct{ name, written, want string }{
		{"short", "why\n", "why"},
		{"hostile", "a\x1b]0;x\x07\nb\xff", "a?]0;x? b\ufffd"},
		{"long", strings.Repeat("a", stderrTail) + "end", strings.Repeat("a", stderrTail-3) + "end"},
		{"exact", strings.Repeat("b", stderrTail), strings.Repeat("b", stderrTail)},
	}
	for _, test := range tests {
		for _, step := range []int{1, 1000, 1 << 20} {
			kept := new(tail)
			for rest := test.written; rest != ""; {
				n := min(step, len(rest))
				_, _ = kept.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if got := kept.String(); got != test.want {
				t.Errorf("%s by %d: %.40q…, want %.40q…", test.name, step, got, test.want)
			}
		}
	}
}

func FuzzAttachment(f *testing.F) {
	f.Add([]byte(frameOf(1, "a")+frameOf(2, "b")), 3)
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1}, 1)
	f.Fuzz(func(t *testing.T, wire []byte, size int) {
		stream := newAttachment(nil, bytes.NewReader(wire))
		p := make([]byte, 1+uint(size)%4096)
		for total := 0; ; {
			n, err := stream.Read(p)
			if total += n; total > len(wire) {
				t.Fatalf("read %d bytes of %d", total, len(wire))
			}
			if err != nil {
				return
			}
		}
	})
}
