package data

import (
	"errors"
	"fmt"
	"io"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/tools/inflate"
)

// maxInflated bounds what is decompressed of one file.
const maxInflated = 256 << 20

var errInflated = fmt.Errorf("decompressed, it is larger than %d MiB, which is all that is read of it", maxInflated>>20)

// An inflated reads what was compressed, up to a bound.
type inflated struct {
	from   *inflate.Reader
	read   int64
	method string // empty for what is not compressed
	name   string // of the file that was compressed, where it is told
}

// newInflated returns a reader of what a content is when it is decompressed: the content itself if it is not
// compressed.
func newInflated(content []byte) (*inflated, error) {
	from, err := inflate.NewReader(content)
	if errors.Is(err, inflate.ErrWindow) {
		return nil, err
	}
	if err != nil {
		return nil, document.Damaged("%v", err)
	}
	return &inflated{from: from, method: from.Method(), name: from.Name()}, nil
}

// Read reads on. Its errors are of the file or its bound.
func (r *inflated) Read(to []byte) (int, error) {
	if r.method != "" && r.read >= maxInflated {
		return 0, errInflated
	}
	n, err := r.from.Read(to)
	r.read += int64(n)
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, inflate.ErrWindow) {
		return n, err
	}
	return n, document.Damaged("decompress the file: %v", err)
}
