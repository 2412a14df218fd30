package fileserver

import (
	"archive/tar"
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// A format makes a packer that writes an archive.
type format func(io.Writer) (packer, error)

// A packer writes an archive. Its errors are those of what it writes to.
type packer interface {
	// Entry begins an entry, and returns what the content of a file is written to.
	Entry(e packed) (io.Writer, error)
	// Close ends the archive. It does not close what it was written to.
	Close() error
}

// formatOf returns the format that a name tells.
func formatOf(name string) (format, bool) {
	name = strings.ToLower(name)
	for _, known := range []struct {
		ending string
		format format
	}{
		{".zip", newZip},
		{".tar", func(to io.Writer) (packer, error) { return newTar(uncompressed{to}, nil) }},
		{".tar.gz", func(to io.Writer) (packer, error) { return newTar(gzip.NewWriter(to), nil) }},
		{".tgz", func(to io.Writer) (packer, error) { return newTar(gzip.NewWriter(to), nil) }},
		{".tar.xz", func(to io.Writer) (packer, error) { return newTar(xz.NewWriter(to)) }},
		{".tar.zst", func(to io.Writer) (packer, error) {
			return newTar(zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20)))
		}},
	} {
		if strings.HasSuffix(name, known.ending) {
			return known.format, true
		}
	}
	return nil, false
}

// uncompressed has nothing to end.
type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }

// tarPacker writes a tar archive into a compressor.
type tarPacker struct {
	*tar.Writer

	to io.WriteCloser
}

func newTar[W io.WriteCloser](to W, err error) (packer, error) {
	if err != nil {
		return nil, fmt.Errorf("begin to compress: %w", err)
	}
	return &tarPacker{Writer: tar.NewWriter(to), to: to}, nil
}

// Entry begins an entry.
func (p *tarPacker) Entry(e packed) (io.Writer, error) {
	head := &tar.Header{Format: tar.FormatPAX, Typeflag: e.kind, Name: e.name, Size: e.size, Mode: e.mode, ModTime: e.modified.Truncate(1e9), Linkname: e.link}
	if e.kind == tar.TypeDir {
		head.Name += "/"
	}
	return p.Writer, p.WriteHeader(head)
}

// Close ends the archive.
func (p *tarPacker) Close() error {
	if err := p.Writer.Close(); err != nil {
		return err
	}
	return p.to.Close()
}

// zipPacker writes a ZIP archive.
type zipPacker struct{ *zip.Writer }

func newZip(to io.Writer) (packer, error) {
	compress, err := flate.NewWriter(to, flate.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("begin to compress: %w", err)
	}
	w := zip.NewWriter(to)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) {
		compress.Reset(to) // the entry before has ended; a new one would take 1 MiB for each file
		return compress, nil
	})
	return &zipPacker{w}, nil
}

// Entry begins an entry. What a link leads to is its content.
func (p *zipPacker) Entry(e packed) (io.Writer, error) {
	head := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: e.modified}
	mode := fs.FileMode(e.mode) & fs.ModePerm
	switch e.kind {
	case tar.TypeDir:
		head.Name, head.Method, mode = e.name+"/", zip.Store, mode|fs.ModeDir
	case tar.TypeSymlink:
		head.Method, mode = zip.Store, mode|fs.ModeSymlink
	}
	head.SetMode(mode)
	to, err := p.CreateHeader(head)
	if err == nil && e.kind == tar.TypeSymlink {
		_, err = io.WriteString(to, e.link)
	}
	return to, err
}
