package archive

import (
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/inflate"
)

// readSingle reads a file that was compressed alone. It is decompressed twice: a tar archive says the size
// before the content, and the content may be larger than the memory there is.
func readSingle(name string, data []byte, s *sink) error {
	open := func() (io.Reader, error) {
		content, err := inflate.NewReader(data)
		if err != nil {
			return nil, err
		}
		return &untrailed{from: &bounded{from: content, left: s.limit + 1}}, nil
	}
	content, err := open()
	if err != nil {
		return damaged(err)
	}
	size, err := io.Copy(io.Discard, content)
	if err != nil {
		return damaged(err)
	}
	return s.add(entry{name: singleName(name), mode: 0o644, size: size, open: open})
}

// singleName is the name without the ending that says how it was compressed.
func singleName(name string) string {
	switch ending := path.Ext(name); strings.ToLower(ending) {
	case ".gz", ".bz2", ".xz", ".zst":
		if len(name) > len(ending) {
			return strings.TrimSuffix(name, ending)
		}
	}
	return name + ".out"
}

// untrailed ends where something follows a compressed file that is no other: padding, or a signature.
type untrailed struct{ from io.Reader }

func (u *untrailed) Read(to []byte) (int, error) {
	n, err := u.from.Read(to)
	if isTrailing(err) {
		err = io.EOF
	}
	return n, err
}

func isTrailing(err error) bool { return errors.Is(err, gzip.ErrHeader) }
