package guest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxCountAhead bounds what is read only to tell how many lines a file has.
const maxCountAhead = 8 << 20

// section is a file of which so much is read, whatever becomes of it meanwhile.
type section struct {
	io.ReaderAt

	size int64
}

// readLines reads a range of lines, of at most length bytes.
func readLines(ctx context.Context, file section, req *sandgatev1.ReadRequest, length int64) (*sandgatev1.ReadResponse, error) {
	if req.GetOffset() > 0 {
		return nil, fail(connect.CodeInvalidArgument, "TWO_RANGES", "give either offset, or start_line and lines",
			"a range is one of bytes or one of lines")
	}
	start := max(req.GetStartLine(), 1)
	offset, passed, err := file.skipLines(ctx, 0, start-1)
	if err != nil {
		return nil, err
	}
	data := make([]byte, min(length, file.size-offset))
	n, err := file.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	data = firstLines(data[:n], req.GetLines(), offset+int64(n) >= file.size)
	res := readResponse(data, offset, file.size)
	res.StartLine = start
	ends := int64(bytes.Count(data, []byte("\n")))
	if res.GetNextOffset() < file.size {
		res.NextLine = start + max(ends, 1) // where there is none, the line is longer than what may be read
	}
	if file.size-res.GetNextOffset() > maxCountAhead {
		return res, nil
	}
	_, ahead, err := file.skipLines(ctx, offset+int64(len(data)), math.MaxInt64)
	if err != nil {
		return nil, err
	}
	res.TotalLines = passed + ends + ahead
	last := []byte{'\n'}
	if file.size > 0 {
		_, err = file.ReadAt(last, file.size-1)
	}
	if err == nil && last[0] != '\n' {
		res.TotalLines++
	}
	return res, nil
}

// skipLines returns where the next lines end, and how many there were before the end of the file.
func (s section) skipLines(ctx context.Context, offset, lines int64) (end, passed int64, err error) {
	buf := make([]byte, transferChunk)
	for passed < lines && offset < s.size {
		n, err := s.ReadAt(buf[:min(int64(len(buf)), s.size-offset)], offset)
		if n == 0 {
			if errors.Is(err, io.EOF) { // it was cut meanwhile
				err = nil
			}
			return s.size, passed, err
		}
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		ends := int64(bytes.Count(buf[:n], []byte("\n")))
		if passed+ends >= lines {
			return offset + int64(len(firstLines(buf[:n], lines-passed, true))), lines, nil
		}
		offset, passed = offset+int64(n), passed+ends
	}
	return offset, passed, nil
}

// firstLines returns the first lines of some data, zero for all of them. Where the data is not the end of a
// file the last line does not count if it has no end, unless it is the only one.
func firstLines(data []byte, lines int64, atEnd bool) []byte {
	at := 0
	for count := int64(0); lines == 0 || count < lines; count++ {
		next := bytes.IndexByte(data[at:], '\n')
		if next < 0 {
			if atEnd || at == 0 {
				return data
			}
			break
		}
		at += next + 1
	}
	return data[:at]
}

// readResponse holds a piece of a file that begins at an offset.
func readResponse(data []byte, offset, size int64) *sandgatev1.ReadResponse {
	res := &sandgatev1.ReadResponse{TotalSize: size}
	if text, ok := asText(data, offset+int64(len(data)) >= size); ok {
		res.Content = &sandgatev1.ReadResponse_Text{Text: string(text)}
		data = text
	} else {
		res.Content = &sandgatev1.ReadResponse_Data{Data: data}
	}
	res.NextOffset = offset + int64(len(data))
	return res
}
