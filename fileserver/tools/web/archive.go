package web

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxEntry bounds a file in an archive, in bytes inflated.
	maxEntry = 128 << 20
	// maxArchive bounds all of them that are read.
	maxArchive = 256 << 20
)

// An archive is a ZIP file by the names in it.
type archive struct {
	files map[string]*zip.File
	left  int64 // bytes that may still be inflated
}

func openArchive(data []byte) (*archive, error) {
	reader, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, document.Damaged("no ZIP archive: %w", err)
	}
	a := &archive{files: make(map[string]*zip.File, len(reader.File)), left: maxArchive}
	for _, file := range reader.File {
		if _, twice := a.files[file.Name]; !twice {
			a.files[file.Name] = file
		}
	}
	return a, nil
}

// read returns what a file has.
func (a *archive) read(name string) ([]byte, error) {
	file, ok := a.files[name]
	if !ok {
		return nil, document.Damaged("%q is not in the archive", name)
	}
	entry, err := file.Open()
	if err != nil {
		return nil, document.Damaged("%q: %w", name, err)
	}
	limit := min(maxEntry, a.left)
	data, err := io.ReadAll(io.LimitReader(entry, limit+1))
	a.left -= int64(len(data))
	_ = entry.Close() // a wrong checksum was told by the reading
	switch {
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%q and what was read before have more than %d MiB inflated, or it alone more than %d MiB", name, maxArchive>>20, maxEntry>>20)
	case err != nil:
		return data, document.Damaged("%q: %w", name, err)
	}
	return data, nil
}
