package data

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

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxInflated bounds what is decompressed of one file.
	maxInflated = 256 << 20
	// maxWindow bounds the memory that a compressed file may claim for decompression: as much as the highest
	// level of zstd does.
	maxWindow = 128 << 20
)

var (
	errInflated = fmt.Errorf("decompressed, it is larger than %d MiB, which is all that is read of it", maxInflated>>20)
	errWindow   = fmt.Errorf("to decompress it takes more than %d MiB of memory", maxWindow>>20)
)

// An inflated reads what was compressed, up to a bound.
type inflated struct {
	from   io.Reader
	read   int64
	method string // empty for what is not compressed
	name   string // of the file that was compressed, where it is told
}

// inflate returns a reader of what a content is when it is decompressed: the content itself if it is not
// compressed.
func inflate(content []byte) (*inflated, error) {
	compressed := bytes.NewReader(content)
	r := &inflated{}
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
		if xzWindow(content) > maxWindow {
			return nil, errWindow
		}
		r.method = "xz"
		r.from, err = xz.NewReader(compressed)
	case bytes.HasPrefix(content, []byte("\x28\xb5\x2f\xfd")):
		r.method = "zstd"
		r.from, err = zstd.NewReader(compressed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	default:
		r.from = compressed
	}
	if err != nil {
		return nil, document.Damaged("read the compressed file: %v", err)
	}
	return r, nil
}

// Read reads on. Its errors are of the file or its bound.
func (r *inflated) Read(to []byte) (int, error) {
	if r.method != "" && r.read >= maxInflated {
		return 0, errInflated
	}
	n, err := r.from.Read(to)
	r.read += int64(n)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return n, errWindow
	default:
		return n, document.Damaged("decompress the file: %v", err)
	}
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
