// Package office reads the documents of office programs: Word's (DOCX), Excel's (XLSX) and PowerPoint's (PPTX),
// which are ZIP archives of XML (ECMA-376, "Office Open XML").
package office

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxFile bounds one file of an archive, and maxFiles all that is read of it, inflated and in bytes.
	maxFile  = 128 << 20
	maxFiles = 256 << 20
	// maxRatio is the most that DEFLATE makes of a byte.
	maxRatio = 1032
)

// errFiles is the end of reading where an archive inflates to more than is read.
var errFiles = document.Damaged("its files inflate to more than %d MiB", maxFiles>>20)

// An archive is a document's files. What it inflates is bounded.
type archive struct {
	files map[string]*zip.File // by the name in small letters: case does not matter there
	left  int64                // bytes that may still be inflated
}

// open opens a document, whose main file must be there.
func open(in *document.Input, main string) (*archive, error) {
	if isBinary(in.Data) {
		return nil, binaryError(in.Data)
	}
	files, err := zip.NewReader(bytes.NewReader(in.Data), int64(len(in.Data)))
	if err != nil {
		return nil, document.Damaged("it is no ZIP archive: %w", err)
	}
	a := &archive{files: make(map[string]*zip.File, len(files.File)), left: maxFiles}
	for _, file := range files.File {
		a.files[fileKey(file.Name)] = file
	}
	if !a.has(main) {
		return nil, document.Damaged("it has no %s", main)
	}
	return a, nil
}

func fileKey(name string) string {
	return strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "/"))
}

func (a *archive) has(name string) bool { return a.files[fileKey(name)] != nil }

// read returns a file, nothing for one that is not there. With an error comes what could be read.
func (a *archive) read(name string) ([]byte, error) {
	file := a.files[fileKey(name)]
	if file == nil {
		return nil, nil
	}
	limit := min(maxFile, a.left)
	from, err := file.Open()
	if err != nil {
		return nil, document.Damaged("%s: %w", name, err)
	}
	defer func() { _ = from.Close() }()
	claimed := min(file.UncompressedSize64, file.CompressedSize64*maxRatio, uint64(limit))
	data := bytes.NewBuffer(make([]byte, 0, claimed+bytes.MinRead))
	n, err := io.Copy(data, io.LimitReader(from, limit+1))
	a.left -= n
	switch {
	case err != nil:
		return utf8Text(data.Bytes()), document.Damaged("%s: %w", name, err)
	case a.left < 0:
		return nil, errFiles
	case n > limit:
		return nil, document.Damaged("%s inflates to more than %d MiB", name, maxFile>>20)
	}
	return utf8Text(data.Bytes()), nil
}

// scan returns a scanner of a file, of an empty one where there is none.
func (a *archive) scan(name string) (*scanner, error) {
	data, err := a.read(name)
	return newScanner(data), err
}

// each visits the children of a file's root. It says which file is damaged.
func (a *archive) each(name string, visit func(s *scanner, element string) error) error {
	s, readErr := a.scan(name)
	err := s.each(func(string) error {
		return s.each(func(element string) error { return visit(s, element) })
	})
	return fileError(name, errors.Join(readErr, err))
}

// fileError says where an error comes from.
func fileError(name string, err error) error {
	if err == nil || errors.Is(err, document.ErrEnough) {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// A relation leads from one file of a document to another, or out of it.
type relation struct {
	id, kind string // the kind is the last word of its type: "image", "hyperlink"
	target   string // a file's name, or an address
	external bool
}

// relations are those of one file, in their order.
type relations []relation

// relations returns the relations of a file.
func (a *archive) relations(name string) (relations, error) {
	dir, base := path.Split(name)
	var found relations
	err := a.each(dir+"_rels/"+base+".rels", func(s *scanner, element string) error {
		if element != "Relationship" {
			return nil
		}
		r := relation{id: s.attr("Id"), kind: path.Base(s.attr("Type")), target: s.attr("Target"), external: s.attr("TargetMode") == "External"}
		if !r.external {
			if !strings.HasPrefix(r.target, "/") {
				r.target = path.Join(dir, r.target)
			}
			r.target = strings.TrimPrefix(r.target, "/")
		}
		found = append(found, r)
		return nil
	})
	return found, err
}

// index returns the relations by their id.
func (r relations) index() map[string]relation {
	index := make(map[string]relation, len(r))
	for _, one := range r {
		index[one.id] = one
	}
	return index
}

// first returns the target of the first relation of a kind.
func (r relations) first(kind string) string {
	for _, one := range r {
		if one.kind == kind && !one.external {
			return one.target
		}
	}
	return ""
}
