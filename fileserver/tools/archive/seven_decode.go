package archive

import (
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"

	"github.com/sandgate/sandgate/fileserver/tools/inflate"
)

// Methods of decompression of 7z; see Methods.txt of the LZMA SDK.
const (
	methodCopy    = "\x00"
	methodDelta   = "\x03"
	methodLZMA    = "\x03\x01\x01"
	methodX86     = "\x03\x03\x01\x03"
	methodDeflate = "\x04\x01\x08"
	methodBzip2   = "\x04\x02\x02"
	methodZstd    = "\x04\xf7\x11\x01"
	methodAES     = "\x06\xf1\x07\x01"
	methodLZMA2   = "\x21"
)

// unreadable tells why a folder cannot be decompressed, empty for nothing.
func (f *sevenFolder) unreadable() string {
	known := []string{methodCopy, methodDelta, methodLZMA, methodX86, methodDeflate, methodBzip2, methodZstd, methodLZMA2}
	unread := ""
	if f.chain == nil {
		unread = "nothing here decompresses it"
	}
	for _, coder := range f.coders {
		if coder.method == methodAES {
			return unreadEncrypted
		}
		if !slices.Contains(known, coder.method) {
			unread = "nothing here decompresses it"
		}
	}
	return unread
}

// open returns what the folder is when it is decompressed.
func (f *sevenFolder) open(data []byte) (io.Reader, error) {
	if f.unreadable() != "" || len(f.packed) != 1 {
		return nil, errors.New("nothing here decompresses it")
	}
	at, size, rest := f.packed[0][0], f.packed[0][1], data[sevenHead:]
	if at > uint64(len(rest)) || size > uint64(len(rest))-at {
		return nil, io.ErrUnexpectedEOF
	}
	var from io.Reader = bytes.NewReader(rest[at : at+size])
	for _, i := range f.chain {
		next, err := decode(f.coders[i], f.sizes[i], from)
		if err != nil {
			return nil, err
		}
		from = next
	}
	return from, nil
}

// decode returns what a coder makes of a stream.
func decode(coder sevenCoder, size uint64, from io.Reader) (io.Reader, error) {
	switch coder.method {
	case methodCopy:
		return from, nil
	case methodDelta:
		if len(coder.properties) != 1 {
			return nil, errors.New("a filter is damaged")
		}
		return &delta{from: from, last: make([]byte, int(coder.properties[0])+1)}, nil
	case methodX86:
		return newX86(from), nil
	case methodLZMA:
		return newLZMA(coder.properties, size, from)
	case methodLZMA2:
		return newLZMA2(coder.properties, from)
	case methodDeflate:
		return flate.NewReader(from), nil
	case methodBzip2:
		return bzip2.NewReader(from), nil
	default: // zstd, as no others are opened
		return zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(inflate.MaxWindow))
	}
}

func newLZMA(properties []byte, size uint64, from io.Reader) (io.Reader, error) {
	if len(properties) != 5 {
		return nil, errors.New("the properties of LZMA are damaged")
	}
	window := binary.LittleEndian.Uint32(properties[1:])
	if window > inflate.MaxWindow {
		return nil, inflate.ErrWindow
	}
	head := binary.LittleEndian.AppendUint64(slices.Clone(properties), size) // as in a file of its own
	return lzma.ReaderConfig{DictCap: max(int(window), lzma.MinDictCap)}.NewReader(io.MultiReader(bytes.NewReader(head), from))
}

func newLZMA2(properties []byte, from io.Reader) (io.Reader, error) {
	if len(properties) != 1 || properties[0] > 40 {
		return nil, errors.New("the properties of LZMA2 are damaged")
	}
	bits := properties[0]
	window := uint64(2|bits&1) << (bits/2 + 11)
	if window > inflate.MaxWindow {
		return nil, inflate.ErrWindow
	}
	return lzma.Reader2Config{DictCap: max(int(window), lzma.MinDictCap)}.NewReader2(from)
}

// delta adds to each byte the one that came some bytes before.
type delta struct {
	from io.Reader
	last []byte
	at   int
}

func (d *delta) Read(to []byte) (int, error) {
	n, err := d.from.Read(to)
	for i := range to[:n] {
		d.last[d.at] += to[i]
		to[i] = d.last[d.at]
		d.at = (d.at + 1) % len(d.last)
	}
	return n, err
}
