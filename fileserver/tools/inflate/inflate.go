// Package inflate decompresses what was compressed as one file: gzip, bzip2, xz and zstd. It is used inside
// the WASM program that runs the readers, so all that it is given is untrusted.
package inflate

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// MaxWindow bounds the memory that a compressed file may claim for decompression, in bytes: as much as the
// highest level of zstd does.
const MaxWindow = 128 << 20

// ErrWindow is for a file that claims more.
var ErrWindow = fmt.Errorf("to decompress it takes more than %d MiB of memory", MaxWindow>>20)

// A Reader reads what was compressed. Its errors, but for io.EOF and [ErrWindow], are of a damaged file.
type Reader struct {
	from   io.Reader
	method string
	name   string
}

// NewReader returns a reader of what a content is when it is decompressed: the content itself if it is not
// compressed.
func NewReader(content []byte) (*Reader, error) {
	compressed := bytes.NewReader(content)
	r := &Reader{}
	var err error
	switch {
	case bytes.HasPrefix(content, []byte("\x1f\x8b")):
		var unzip *gzip.Reader
		if unzip, err = gzip.NewReader(compressed); err == nil {
			r.from, r.method, r.name = unzip, "gzip", unzip.Name
		}
	case bytes.HasPrefix(content, []byte("BZh")):
		r.from, r.method = bzip2.NewReader(compressed), "bzip2"
	case bytes.HasPrefix(content, []byte("\xfd7zXZ\x00")):
		if xzWindow(content) > MaxWindow {
			return nil, ErrWindow
		}
		r.method = "xz"
		r.from, err = xz.NewReader(compressed)
	case bytes.HasPrefix(content, []byte("\x28\xb5\x2f\xfd")):
		r.method = "zstd"
		r.from, err = zstd.NewReader(compressed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(MaxWindow))
	default:
		r.from = compressed
	}
	if err != nil {
		return nil, fmt.Errorf("read the compressed file: %w", err)
	}
	return r, nil
}

// Method names how it was compressed, "" for not at all.
func (r *Reader) Method() string { return r.method }

// Name is that of the file that was compressed, where it is told.
func (r *Reader) Name() string { return r.name }

// Read reads on.
func (r *Reader) Read(to []byte) (int, error) {
	n, err := r.from.Read(to)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = ErrWindow
	}
	return n, err
}

// xzWindow returns the size of the dictionary that the first block of an xz file asks for, zero where it
// cannot be told; see the sections 3.1 and 5.3.1 of the .xz file format.
func xzWindow(content []byte) uint64 {
	const streamHeader, lzma2 = 12, 0x21
	if len(content) < streamHeader+2 {
		return 0
	}
	flags := content[streamHeader+1]
	rest := content[streamHeader+2 : min(len(content), streamHeader+4*(int(content[streamHeader])+1))]
	number := func() uint64 {
		value, n := binary.Uvarint(rest)
		rest = rest[max(n, 0):]
		return value
	}
	for _, sized := range []byte{0x40, 0x80} {
		if flags&sized != 0 {
			number()
		}
	}
	for range flags&3 + 1 {
		id, length := number(), number()
		if length > uint64(len(rest)) {
			return 0
		}
		if bits := rest[:length]; id == lzma2 && length == 1 && bits[0] <= 40 {
			return uint64(2|bits[0]&1) << (bits[0]/2 + 11)
		}
		rest = rest[length:]
	}
	return 0
}
