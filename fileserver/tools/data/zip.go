package data

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// Zip lists a ZIP archive. It reads its directory only, and extracts nothing.
func Zip(in *document.Input, out *document.Output) error {
	archive, err := zip.NewReader(bytes.NewReader(in.Data), int64(len(in.Data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return document.Damaged("read the directory of the archive: %v", err)
	}
	var size, packed uint64
	encrypted := 0
	for _, file := range archive.File {
		size, packed = size+file.UncompressedSize64, packed+file.CompressedSize64
		if isEncrypted(file) {
			encrypted++
		}
	}
	out.Property("entries", strconv.Itoa(len(archive.File)))
	out.Property("encrypted", strconv.Itoa(encrypted))
	out.Property("size", strconv.FormatUint(size, 10))
	out.Property("compressed_size", strconv.FormatUint(packed, 10))
	out.Property("comment", archive.Comment)
	entries := listing(&parts{in: in, out: out}, "name", "kind", "size", "compressed", "method", "modified", "encrypted", "crc32")
	for _, file := range archive.File {
		if err := entries.add(zipEntry(file), len(entries.head), len(file.Name)); err != nil {
			return err
		}
	}
	return entries.flush()
}

// listing returns the grid of an archive's entries.
func listing(p *parts, head ...string) *grid[[]string] {
	return &grid[[]string]{parts: p, place: "entries", head: head, cells: func(row []string) []string { return row }}
}

func isEncrypted(file *zip.File) bool { return file.Flags&1 != 0 }

// zipEntry returns the row of an entry.
func zipEntry(file *zip.File) []string {
	encrypted := ""
	if isEncrypted(file) {
		encrypted = "yes"
	}
	return []string{
		file.Name, entryKind(file.Mode()), strconv.FormatUint(file.UncompressedSize64, 10), strconv.FormatUint(file.CompressedSize64, 10),
		zipMethod(file.Method), entryTime(file.Modified), encrypted, fmt.Sprintf("%08x", file.CRC32),
	}
}

// zipMethod names a method of compression, as APPNOTE.TXT 4.4.5 numbers them.
func zipMethod(method uint16) string {
	switch method {
	case zip.Store:
		return "stored"
	case zip.Deflate:
		return "deflate"
	case 9:
		return "deflate64"
	case 12:
		return "bzip2"
	case 14:
		return "lzma"
	case 93:
		return "zstd"
	case 95:
		return "xz"
	case 99:
		return "AES"
	default:
		return "method " + strconv.Itoa(int(method))
	}
}

func entryKind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "link"
	case mode.IsRegular():
		return "file"
	default:
		return "special"
	}
}

// entryTime returns a time without its zone's name, which archives do not have.
func entryTime(at time.Time) string {
	if at.IsZero() || at.Unix() == 0 {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05")
}
