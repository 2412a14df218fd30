package store

import (
	"bytes"
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	// maxCountAhead bounds what is read only to tell how many lines a file has.
	maxCountAhead = 8 << 20
	// chunk is how much of a file is read at once, and one message carries.
	chunk = 64 << 10
)

// part is a file of which so much is read, whatever becomes of it meanwhile.
type part struct {
	io.ReaderAt

	size int64
}

// read returns at most length bytes from an offset on.
func (p part) read(offset, length int64) ([]byte, error) {
	data := make([]byte, max(min(length, p.size-offset), 0))
	n, err := p.ReadAt(data, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}

// readLines reads a range of lines, of at most length bytes.
func readLines(ctx context.Context, p part, req *sandgatev1.ReadRequest, length int64) (*sandgatev1.ReadResponse, error) {
	if req.GetOffset() > 0 {
		return nil, fail(connect.CodeInvalidArgument, "TWO_RANGES", "give either offset, or start_line and lines",
			"a range is one of bytes or one of lines")
	}
	start := max(req.GetStartLine(), 1)
	offset, passed, err := p.skip(ctx, 0, start-1)
	if err != nil {
		return nil, err
	}
	data, err := p.read(offset, length)
	if err != nil {
		return nil, err
	}
	data = wholeLines(data, req.GetLines(), offset+int64(len(data)) >= p.size)
	res := readResponse(data, offset, p.size)
	res.StartLine = start
	ends := int64(bytes.Count(data, []byte{'\n'}))
	if res.GetNextOffset() < p.size {
		res.NextLine = start + max(ends, 1) // where there is none, the line is longer than what may be read
	}
	if p.size-res.GetNextOffset() > maxCountAhead {
		return res, nil
	}
	_, ahead, err := p.skip(ctx, offset+int64(len(data)), p.size)
	if err != nil {
		return nil, err
	}
	res.TotalLines = passed + ends + ahead
	last, err := p.read(max(p.size-1, 0), 1)
	if err == nil && len(last) == 1 && last[0] != '\n' {
		res.TotalLines++
	}
	return res, nil
}

// skip returns where the next lines end, and how many there were before the end of the file.
func (p part) skip(ctx context.Context, offset, lines int64) (end, passed int64, err error) {
	for passed < lines && offset < p.size {
		data, err := p.read(offset, chunk)
		if err != nil || len(data) == 0 { // it was cut meanwhile
			return p.size, passed, err
		}
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		ends := int64(bytes.Count(data, []byte{'\n'}))
		if passed+ends >= lines {
			return offset + int64(len(wholeLines(data, lines-passed, true))), lines, nil
		}
		offset, passed = offset+int64(len(data)), passed+ends
	}
	return offset, passed, nil
}

// wholeLines returns the first lines of some data, zero for all of them. Where the data is not the end of a file
// the last line does not count if it has no end, unless it is the only one.
func wholeLines(data []byte, lines int64, atEnd bool) []byte {
	at := 0
	for count := int64(0); lines == 0 || count < lines; count++ {
		next := bytes.IndexByte(data[at:], '\n')
		if next < 0 && (atEnd || at == 0) {
			return data
		}
		if next < 0 {
			break
		}
		at += next + 1
	}
	return data[:at]
}
