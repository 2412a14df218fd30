package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"math"
)

const (
	sevenSignature = "7z\xbc\xaf\x27\x1c"
	sevenHead      = 32
	// maxSevenHeader bounds a header that is compressed, in bytes.
	maxSevenHeader = 64 << 20
)

// readSeven reads a 7z archive: its header is at its end, and the files are one behind the other in streams
// that were compressed as wholes.
func readSeven(data []byte, s *sink) error {
	header, err := sevenHeaderOf(data)
	if err != nil {
		return err
	}
	folders, files, err := header.main()
	if err != nil {
		return err
	}
	next, at := 0, 0 // the folder, and the stream in it
	content := &sevenContent{data: data}
	for i := range files {
		f := &files[i]
		e := entry{name: f.name, mode: f.mode(), modified: f.modified, open: func() (io.Reader, error) { return bytes.NewReader(nil), nil }}
		if !f.empty {
			for next < len(folders) && at == len(folders[next].streams) {
				next, at = next+1, 0
			}
			if next == len(folders) {
				return fail(Damaged, "it has fewer streams than files")
			}
			content.of(&folders[next], at)
			stream := folders[next].streams[at]
			at++
			if stream.size > math.MaxInt64 {
				return fail(Damaged, "the size of %s is wrong", quote(f.name))
			}
			e.size, e.unread, e.open = int64(stream.size), folders[next].unreadable(), content.open
		}
		if f.anti {
			s.skip(f.name, "it says that a file is to be removed")
			continue
		}
		if err := s.add(e); err != nil {
			return err
		}
	}
	return nil
}

// sevenHeaderOf returns the header, decompressed.
func sevenHeaderOf(data []byte) (*sevenHeader, error) {
	if len(data) < sevenHead || crc32.ChecksumIEEE(data[12:sevenHead]) != binary.LittleEndian.Uint32(data[8:]) {
		return nil, fail(Damaged, "its first header is damaged")
	}
	offset, size := binary.LittleEndian.Uint64(data[12:]), binary.LittleEndian.Uint64(data[20:])
	rest := data[sevenHead:]
	if offset > uint64(len(rest)) || size > uint64(len(rest))-offset {
		return nil, fail(Damaged, "it ends too early")
	}
	h := &sevenHeader{rest: rest[offset : offset+size]}
	if crc32.ChecksumIEEE(h.rest) != binary.LittleEndian.Uint32(data[28:]) {
		return nil, fail(Damaged, "its header is damaged")
	}
	if size == 0 { // nothing is in it
		h.rest = []byte{sevenMain, sevenEnd}
	}
	id := h.number()
	for range 4 { // headers of headers; one is what is written
		if id != sevenEncoded {
			break
		}
		folders := h.streams()
		if h.err != nil || len(folders) != 1 || len(folders[0].streams) != 1 || folders[0].size() > maxSevenHeader {
			return nil, fail(Damaged, "its header is damaged")
		}
		if folders[0].unreadable() == unreadEncrypted {
			return nil, fail(Encrypted, "even the names in it are encrypted")
		}
		content := &sevenContent{data: data}
		content.of(&folders[0], 0)
		from, err := content.open()
		if err != nil {
			return nil, damaged(err)
		}
		raw, err := io.ReadAll(from)
		if err != nil {
			return nil, damaged(err)
		}
		h = &sevenHeader{rest: raw}
		id = h.number()
	}
	if id != sevenMain {
		return nil, fail(Damaged, "its header is damaged")
	}
	return h, nil
}

// main reads the header itself.
func (h *sevenHeader) main() (folders []sevenFolder, files []sevenFile, err error) {
	for h.err == nil {
		switch h.number() {
		case sevenProperties:
			for h.number() != sevenEnd && h.err == nil {
				h.bytes(h.number())
			}
		case sevenMore:
			h.streams()
		case sevenStreamsInfo:
			folders = h.streams()
		case sevenFilesInfo:
			files = h.files()
		case sevenEnd:
			return folders, files, h.err
		default:
			h.fail()
		}
	}
	return nil, nil, h.err
}

// sevenContent is the content of one file after the other. What nobody opens is not decompressed, unless it
// is before what somebody does.
type sevenContent struct {
	data   []byte
	folder *sevenFolder
	from   io.Reader // nil before the first of a folder is opened
	passed int       // streams of the folder that were read, or passed over
	at     int
}

// of says what is opened next.
func (c *sevenContent) of(folder *sevenFolder, at int) {
	if c.folder != folder {
		c.folder, c.from, c.passed = folder, nil, 0
	}
	c.at = at
}

// open returns the content of the stream. It must be read to its end before the next is opened.
func (c *sevenContent) open() (io.Reader, error) {
	if c.from == nil {
		from, err := c.folder.open(c.data)
		if err != nil {
			return nil, err
		}
		c.from = from
	}
	for ; c.passed < c.at; c.passed++ {
		if _, err := io.CopyN(io.Discard, c.from, int64(c.folder.streams[c.passed].size)); err != nil {
			return nil, err
		}
	}
	c.passed++
	stream := c.folder.streams[c.at]
	return &summed{from: io.LimitReader(c.from, int64(stream.size)), left: int64(stream.size), sum: crc32.NewIEEE(), want: stream.sum}, nil
}

// summed checks the sum of what is read to its end, and that it has the size it should have.
type summed struct {
	from io.Reader
	left int64
	sum  hash.Hash32
	want *uint32
}

func (r *summed) Read(to []byte) (int, error) {
	n, err := r.from.Read(to)
	_, _ = r.sum.Write(to[:n])
	r.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && r.left > 0:
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF) && r.want != nil && r.sum.Sum32() != *r.want:
		return n, fail(Damaged, "its sum is wrong")
	default:
		return n, err
	}
}
