// Package channel carries HTTP/2 between a gateway and the guest inside a sandbox over one byte
// stream: the container's attached stdin and stdout.
//
// Such a stream outlives its users. A gateway may be killed in the middle of a write and another
// one attach to the same stream, so HTTP/2 does not run on the bare bytes but on frames that carry
// an epoch and a checksum. A new holder sends a sync frame with a greater epoch; the guest answers
// with an acknowledgement that repeats the holder's random nonce, ends whatever the holder before
// had open, and drops every frame of an older epoch from then on. A frame that was cut in two
// fails its checksum, so that no half of a request is ever acted on.
package channel

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/sandgate/sandgate/sandbox/gather"
)

// kind is what a frame is for.
type kind uint8

const (
	kindData kind = 1 + iota // bytes of the HTTP/2 connection
	kindSync                 // a new holder, payload: its nonce
	kindAck                  // the guest's answer to a sync, payload: the same nonce
	kindPing                 // the holder is alive
)

const (
	headerSize = 24
	// maxPayload bounds a frame. It is what one pipe holds on Linux, and small enough for a
	// reader to keep.
	maxPayload = 64 << 10
	nonceSize  = 16
)

// errDesync says that bytes were lost or damaged. What comes next is on a frame boundary again.
var errDesync = errors.New("the byte stream lost its framing")

// A frame as it was read. The payload is valid until the next read.
type frame struct {
	kind    kind
	epoch   uint64
	payload []byte
}

// magic begins every frame. It is no valid UTF-8, so that text is never mistaken for it.
func magic() []byte { return []byte{0xF7, 'S', 'G', 0xF7} }

// patient is a stream that lets more come before it is read on, where it is told that much will.
type patient interface{ SetPatient(patient bool) }

// link reads and writes frames on one byte stream.
type link struct {
	stream  io.ReadWriteCloser
	in      *bufio.Reader
	patient patient // the stream, nil where it is not
	table   *crc32.Table
	head    [headerSize]byte
	body    []byte

	out *gather.Writer
}

func newLink(stream io.ReadWriteCloser) *link {
	patient, _ := stream.(patient)
	return &link{
		stream: stream, patient: patient,
		in:    bufio.NewReaderSize(stream, 16<<10),
		table: crc32.MakeTable(crc32.Castagnoli),
		out:   gather.New(stream),
	}
}

// next reads one frame. One goroutine may call it at a time. After errDesync it may be called
// again; after any other error the stream is done.
func (l *link) next() (frame, error) {
	desync, err := l.findMagic()
	if err != nil {
		return frame{}, err
	}
	if desync {
		return frame{}, errDesync
	}
	if _, err := io.ReadFull(l.in, l.head[:]); err != nil {
		return frame{}, err
	}
	size := binary.LittleEndian.Uint32(l.head[16:])
	if size > maxPayload {
		return frame{}, errDesync
	}
	if cap(l.body) < int(size) {
		l.body = make([]byte, max(int(size), 4<<10))
	}
	l.body = l.body[:size]
	if l.patient != nil && size == maxPayload { // a part of something large
		l.patient.SetPatient(true)
		defer l.patient.SetPatient(false)
	}
	if _, err := io.ReadFull(l.in, l.body); err != nil {
		return frame{}, err
	}
	sum := crc32.Update(crc32.Checksum(l.head[:20], l.table), l.table, l.body)
	if sum != binary.LittleEndian.Uint32(l.head[20:]) {
		return frame{}, errDesync
	}
	return frame{
		kind:    kind(l.head[4]),
		epoch:   binary.LittleEndian.Uint64(l.head[8:]),
		payload: l.body,
	}, nil
}

// findMagic leaves the reader at the beginning of what looks like a frame, and reports whether it
// had to skip anything.
func (l *link) findMagic() (skipped bool, err error) {
	mark := magic()
	for {
		head, err := l.in.Peek(len(mark))
		if err != nil {
			return skipped, err
		}
		if bytes.Equal(head, mark) {
			return skipped, nil
		}
		skipped = true
		window, _ := l.in.Peek(l.in.Buffered())
		at := bytes.IndexByte(window[1:], mark[0])
		if at < 0 {
			at = len(window) - 1
		}
		if _, err := l.in.Discard(at + 1); err != nil {
			return skipped, err
		}
	}
}

// pad sends as many zero bytes as any frame can still miss. A peer that waits for the rest of a
// frame whose sender died gets these instead, fails the checksum, and looks for the next frame.
func (l *link) pad() error {
	return l.out.Append(headerSize+maxPayload, func(buf []byte) []byte { return append(buf, make([]byte, headerSize+maxPayload)...) })
}

// write queues one frame whose payload is at most maxPayload long. Any number of goroutines may
// call it. An error is that of an earlier frame.
func (l *link) write(k kind, epoch uint64, payload []byte) error {
	if len(payload) > maxPayload {
		return fmt.Errorf("frame of %d bytes", len(payload))
	}
	return l.out.Append(headerSize+len(payload), func(buf []byte) []byte { return l.appendFrame(buf, k, epoch, payload) })
}

func (l *link) appendFrame(buf []byte, k kind, epoch uint64, payload []byte) []byte {
	start := len(buf)
	buf = append(buf, magic()...)
	buf = append(buf, byte(k), 0, 0, 0)
	buf = binary.LittleEndian.AppendUint64(buf, epoch)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(payload)))
	sum := crc32.Update(crc32.Checksum(buf[start:], l.table), l.table, payload)
	buf = binary.LittleEndian.AppendUint32(buf, sum)
	return append(buf, payload...)
}
