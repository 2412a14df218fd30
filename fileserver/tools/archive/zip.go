package archive

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/bzip2"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/text/encoding/charmap"

	"github.com/sandgate/sandgate/fileserver/tools/inflate"
)

// Methods of compression beside those of Go, as APPNOTE.TXT 4.4.5 numbers them.
const (
	zipBzip2 = 12
	zipZstd  = 93
	zipXZ    = 95
)

// readZip reads a ZIP archive, in the order of its directory.
func readZip(data []byte, s *sink) error {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return damaged(err)
	}
	archive.RegisterDecompressor(zipBzip2, func(from io.Reader) io.ReadCloser { return io.NopCloser(bzip2.NewReader(from)) })
	archive.RegisterDecompressor(zipZstd, func(from io.Reader) io.ReadCloser {
		return opened(zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(inflate.MaxWindow)))
	})
	archive.RegisterDecompressor(zipXZ, func(from io.Reader) io.ReadCloser { return opened(xz.NewReader(from)) })
	if err := apart(archive.File); err != nil {
		return err
	}
	for _, file := range archive.File {
		e := entry{
			name: zipName(file), mode: file.Mode(), size: int64(file.UncompressedSize64),
			modified: file.Modified, unread: unreadable(file), open: func() (io.Reader, error) { return file.Open() },
		}
		if err := s.add(e); err != nil {
			return err
		}
	}
	return nil
}

// opened is a decompressor, or its error.
func opened[R io.Reader](r R, err error) io.ReadCloser {
	if err != nil {
		return io.NopCloser(broken{err})
	}
	return io.NopCloser(r)
}

// broken is a reader of nothing.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// apart makes sure that no entries share their bytes, which is how small archives hold more than there is on
// any disk.
func apart(files []*zip.File) error {
	type span struct{ from, to int64 }
	spans := make([]span, 0, len(files))
	for _, file := range files {
		size := int64(file.CompressedSize64)
		from, err := file.DataOffset()
		if err != nil || size < 0 {
			return fail(Damaged, "the place of %s in it is wrong", quote(file.Name))
		}
		if size > 0 {
			spans = append(spans, span{from, from + size})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return fail(Damaged, "entries of it share their bytes, as in archives that are made to overflow")
		}
	}
	return nil
}

// zipName returns the name of an entry: some programs write other slashes, others other letters.
func zipName(file *zip.File) string {
	name := file.Name
	if !utf8.ValidString(name) {
		if decoded, err := charmap.CodePage437.NewDecoder().String(name); err == nil {
			name = decoded
		}
	}
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, `\`, "/")
	}
	return name
}

// unreadable tells why the content of an entry cannot be read.
func unreadable(file *zip.File) string {
	if file.Flags&1 != 0 {
		return unreadEncrypted
	}
	switch file.Method {
	case zip.Store, zip.Deflate, zipBzip2, zipZstd, zipXZ:
		return ""
	default:
		return "nothing here decompresses it"
	}
}
