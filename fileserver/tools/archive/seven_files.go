package archive

import (
	"encoding/binary"
	"io/fs"
	"time"
)

// A sevenFile is a file of a 7z archive.
type sevenFile struct {
	name       string
	modified   time.Time
	attributes uint32
	empty      bool // it has no stream
	file       bool // nevertheless it is a file
	anti       bool // it says that a file is not there
}

// files reads the list of files.
func (h *sevenHeader) files() []sevenFile {
	count := h.count()
	if count > maxLooked {
		h.err = fail(Many, "it has more than %d entries", maxLooked)
		return nil
	}
	files := make([]sevenFile, count)
	var empty []*sevenFile
	for h.err == nil {
		id := h.number()
		if id == sevenEnd {
			return files
		}
		part := &sevenHeader{rest: h.bytes(h.number())}
		switch id {
		case sevenEmptyStream:
			for i, set := range part.bits(len(files)) {
				if files[i].empty = set; set {
					empty = append(empty, &files[i])
				}
			}
		case sevenEmptyFile:
			for i, set := range part.bits(len(empty)) {
				empty[i].file = set
			}
		case sevenAnti:
			for i, set := range part.bits(len(empty)) {
				empty[i].anti = set
			}
		case sevenNames:
			part.byte() // they are here
			for i := range files {
				files[i].name = part.name()
			}
		case sevenModified:
			part.each(files, 8, func(f *sevenFile, raw []byte) { f.modified = windowsTime(binary.LittleEndian.Uint64(raw)) })
		case sevenAttributes:
			part.each(files, 4, func(f *sevenFile, raw []byte) { f.attributes = binary.LittleEndian.Uint32(raw) })
		}
		if part.err != nil {
			h.fail()
		}
	}
	return nil
}

// each gives do what some files have of a size.
func (h *sevenHeader) each(files []sevenFile, size uint64, do func(*sevenFile, []byte)) {
	set := h.some(len(files))
	h.byte() // they are here
	for i := range files {
		if set[i] {
			if raw := h.bytes(size); raw != nil {
				do(&files[i], raw)
			}
		}
	}
}

// windowsTime is a time in tenths of microseconds since 1601.
func windowsTime(ticks uint64) time.Time {
	const perSecond, to1970 = 10_000_000, 11_644_473_600
	return time.Unix(int64(ticks/perSecond)-to1970, 0)
}

// mode returns the mode: that of Unix is in the upper half of the attributes, where a bit says so.
func (f *sevenFile) mode() fs.FileMode {
	const (
		windowsDirectory, hasUnix           = 0x10, 0x8000
		kinds, regular, directory, symbolic = 0o170000, 0o100000, 0o040000, 0o120000
	)
	isDirectory := f.empty && !f.file || f.attributes&windowsDirectory != 0
	if f.attributes&hasUnix == 0 {
		if isDirectory {
			return fs.ModeDir | 0o755
		}
		return 0o644
	}
	mode := f.attributes >> 16
	switch permissions := fs.FileMode(mode & 0o777); {
	case isDirectory || mode&kinds == directory:
		return fs.ModeDir | permissions
	case mode&kinds == symbolic:
		return fs.ModeSymlink | permissions
	case mode&kinds == regular || mode&kinds == 0:
		return permissions
	default:
		return fs.ModeIrregular | permissions
	}
}
