// Package piece reads the messages that carry pieces of files into memory that is used again. A file of a
// GiB would otherwise have the collector clean up after each of its thousands of pieces, which cost more
// than moving them.
package piece

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Bytes is how much of a file a message carries at most, where we are who cuts it: with what the protocols put
// around it, it fits an HTTP/2 frame of a quarter of a MiB.
const Bytes = held - 64

const (
	held  = 256 << 10 // what a buffer holds, which is what others cut
	least = 32 << 10  // below, a buffer would cost more than memory for the piece
)

var buffers = sync.Pool{New: func() any { return new([held]byte) }} //nolint:gochecknoglobals // memory has no owner

// Decode reads a message whose only content is a piece of a file of 32 to 256 KiB, and reports false for any
// other, which it leaves alone. Whoever gets the message gives the piece to [Free], or it is garbage.
func Decode(wire []byte, message proto.Message) bool {
	switch m := message.(type) {
	case *sandgatev1.DownloadResponse:
		data, ok := only(wire, 1)
		if ok {
			m.Data = data
		}
		return ok
	case *sandgatev1.ExportResponse:
		data, ok := only(wire, 1)
		if ok {
			m.Data = data
		}
		return ok
	case *sandgatev1.UploadRequest:
		data, ok := only(wire, 2)
		if ok {
			m.Part = &sandgatev1.UploadRequest_Data{Data: data}
		}
		return ok
	case *sandgatev1.ImportRequest:
		data, ok := only(wire, 2)
		if ok {
			m.Part = &sandgatev1.ImportRequest_Data{Data: data}
		}
		return ok
	}
	return false
}

// Free takes back the piece of a message that nobody uses any more, nor any part of it: the next tenant's is
// written over it. It is given once. What is not of [Decode]'s size, or nil, is left to the collector.
func Free(data []byte) {
	if cap(data) == held {
		buffers.Put((*[held]byte)(data[:held]))
	}
}

// only returns a copy of the one field of a message, where that is what it consists of.
func only(wire []byte, field protowire.Number) ([]byte, bool) {
	number, kind, n := protowire.ConsumeTag(wire)
	if n < 0 || number != field || kind != protowire.BytesType {
		return nil, false
	}
	content, m := protowire.ConsumeBytes(wire[n:])
	if m < 0 || n+m != len(wire) || len(content) < least || len(content) > held {
		return nil, false
	}
	buffer, ok := buffers.Get().(*[held]byte)
	return append(buffer[:0], content...), ok
}
