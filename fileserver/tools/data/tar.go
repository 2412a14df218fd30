package data

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/tools/inflate"
)

// Tar lists a tar archive, which may be compressed with gzip, bzip2, xz or zstd. It extracts nothing. Of a
// compressed file that is none it tells the size, and gives the first lines if it is a text.
func Tar(in *document.Input, out *document.Output) error {
	content, err := newInflated(in.Data)
	if err != nil {
		return err
	}
	out.Property("compression", content.method)
	from := bufio.NewReaderSize(content, 64<<10)
	p := &parts{in: in, out: out}
	head, err := from.Peek(inflate.TarBlock)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if content.method != "" && !inflate.IsTar(head) {
		return readCompressed(p, content, from)
	}
	return listTar(p, tar.NewReader(from))
}

// listTar gives out the entries of an archive.
func listTar(p *parts, archive *tar.Reader) error {
	entries := listing(p, "name", "kind", "size", "modified", "mode", "owner")
	size := int64(0)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return orElse(entries.flush(), tarError(err))
		}
		size += header.Size
		row := []string{
			entryName(header), tarKind(header), strconv.FormatInt(header.Size, 10), entryTime(header.ModTime),
			header.FileInfo().Mode().Perm().String(), tarOwner(header),
		}
		if err := entries.add(row, len(row), len(row[0])); err != nil {
			return err
		}
	}
	p.out.Property("entries", strconv.Itoa(entries.count))
	p.out.Property("size", strconv.FormatInt(size, 10))
	return entries.flush()
}

// tarError is the error for what ended the reading.
func tarError(err error) error {
	if errors.Is(err, document.ErrFormat) || errors.Is(err, errInflated) || errors.Is(err, inflate.ErrWindow) {
		return err
	}
	return document.Damaged("read the archive: %v", err)
}

// entryName is the name, and what a link leads to.
func entryName(header *tar.Header) string {
	if header.Linkname != "" {
		return header.Name + " -> " + header.Linkname
	}
	return header.Name
}

func tarKind(header *tar.Header) string {
	switch header.Typeflag {
	case tar.TypeLink:
		return "hard link"
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "special"
	default:
		return entryKind(header.FileInfo().Mode() & fs.ModeType)
	}
}

func tarOwner(header *tar.Header) string {
	if header.Uname != "" || header.Gname != "" {
		return header.Uname + ":" + header.Gname
	}
	return fmt.Sprintf("%d:%d", header.Uid, header.Gid)
}

// firstBytes is how much of a compressed text is shown.
const firstBytes = 64 << 10

// readCompressed gives out the beginning of a compressed file, and counts the rest.
func readCompressed(p *parts, content *inflated, from io.Reader) error {
	p.out.Property("name", content.name)
	head := make([]byte, firstBytes)
	n, err := io.ReadFull(from, head)
	if err == nil {
		_, err = io.Copy(io.Discard, from)
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	size := strconv.FormatInt(content.read, 10)
	if err != nil {
		size = "more than " + size
	}
	p.out.Property("uncompressed_size", size)
	return orElse(p.add("beginning", "", func() string { return beginning(head[:n], size) }), err)
}

// beginning describes a file by what it begins with.
func beginning(head []byte, size string) string {
	note := fmt.Sprintf("A compressed file of %s bytes, which is no archive.", size)
	text, _, err := decode(head)
	if err != nil {
		return note + " It is " + strings.TrimPrefix(err.Error(), document.ErrFormat.Error()+": ") + "."
	}
	shown := text
	_ = eachBlock(text, 1, maxLines, func(_, last int, block string) error {
		if shown = block; len(block) < len(text) || len(head) == firstBytes {
			note += fmt.Sprintf(" Its first %d lines:", last)
		}
		return document.ErrEnough
	})
	return note + "\n\n" + document.Code("", shown)
}
