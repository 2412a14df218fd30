package archive

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
)

// readTar reads a tar archive of any kind: v7, ustar, pax, GNU.
func readTar(from io.Reader, s *sink) error {
	archive := tar.NewReader(from)
	for {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return drain(from)
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return damaged(err)
		}
		if head.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		e := entry{
			name: head.Name, mode: tarMode(head), size: head.Size, modified: head.ModTime,
			open: func() (io.Reader, error) { return archive, nil },
		}
		if err := s.add(e); err != nil {
			return err
		}
	}
}

// tarMode returns the mode of an entry. A hard link counts as a link: what it leads to may be anything.
func tarMode(head *tar.Header) fs.FileMode {
	permissions := fs.FileMode(head.Mode) & fs.ModePerm
	switch head.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return permissions
	case tar.TypeDir:
		return permissions | fs.ModeDir
	case tar.TypeSymlink, tar.TypeLink:
		return permissions | fs.ModeSymlink
	default:
		return permissions | fs.ModeIrregular
	}
}

// drain reads what follows an archive, so that the sum of the compressed file is checked. Much does not
// follow, and what is no file of the kind is left alone, as other programs do.
func drain(from io.Reader) error {
	const most = 1 << 20
	_, err := io.CopyN(io.Discard, from, most)
	if err == nil || errors.Is(err, io.EOF) || isTrailing(err) {
		return nil
	}
	return damaged(err)
}
