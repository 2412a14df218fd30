package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// A fuse is what ends a program that runs: a variable that every loop and every function of it looks at, and
// that only the host sets. wazero can end programs by itself, but leaves them at every turn of a loop to
// ask, which makes a reader take three to four times as long. The format that is read and written here is
// that of the WebAssembly specification, chapter 5, "Binary Format".

// fuseName is the name under which the variable is exported.
const fuseName = "sandgate.fuse"

// Sections of a module by their ids, in the order in which they must come.
const (
	sectionCustom = 0
	sectionImport = 2
	sectionGlobal = 6
	sectionExport = 7
	sectionCode   = 10
)

// errModule is for a binary that is no module, or has something in it that is not known here.
var errModule = errors.New("invalid WebAssembly module")

// A section is one of a module.
type section struct {
	id      byte
	content []byte
}

// addFuse returns the module with a fuse in it.
func addFuse(module []byte) ([]byte, error) {
	sections, err := readSections(module)
	if err != nil {
		return nil, err
	}
	imported, err := importedGlobals(find(sections, sectionImport))
	if err != nil {
		return nil, err
	}
	globals, fuse, err := appendTo(find(sections, sectionGlobal), 0x7f, 1, 0x41, 0, 0x0b) // a variable i32, zero at first
	if err != nil {
		return nil, err
	}
	fuse += imported
	export := append(binary.AppendUvarint(nil, uint64(len(fuseName))), fuseName...)
	exports, _, err := appendTo(find(sections, sectionExport), binary.AppendUvarint(append(export, 3), fuse)...)
	if err != nil {
		return nil, err
	}
	code, err := addChecks(find(sections, sectionCode), fuse)
	if err != nil {
		return nil, err
	}
	for id, content := range map[byte][]byte{sectionGlobal: globals, sectionExport: exports, sectionCode: code} {
		sections = put(sections, id, content)
	}
	out := slices.Clone(module[:headerBytes])
	for _, s := range sections {
		out = append(binary.AppendUvarint(append(out, s.id), uint64(len(s.content))), s.content...)
	}
	return out, nil
}

// headerBytes is how long magic and version are.
const headerBytes = 8

func readSections(module []byte) ([]section, error) {
	if len(module) < headerBytes || string(module[:headerBytes]) != "\x00asm\x01\x00\x00\x00" {
		return nil, fmt.Errorf("%w: invalid magic number or version", errModule)
	}
	r := &reader{rest: module[headerBytes:]}
	var sections []section
	for len(r.rest) > 0 && r.err == nil {
		s := section{id: r.byte()}
		s.content = r.take(r.number())
		sections = append(sections, s)
	}
	return sections, r.err
}

// find returns a section's content, nil where there is none.
func find(sections []section, id byte) []byte {
	for _, s := range sections {
		if s.id == id {
			return s.content
		}
	}
	return nil
}

// put replaces a section, or adds it where it must come.
func put(sections []section, id byte, content []byte) []section {
	for i, s := range sections {
		if s.id == id {
			sections[i].content = content
			return sections
		}
		if s.id != sectionCustom && rank(s.id) > rank(id) {
			return slices.Insert(sections, i, section{id, content})
		}
	}
	return append(sections, section{id, content})
}

// rank is the place of a section: by its id, but for the count of data segments, which comes before the code.
func rank(id byte) int {
	const dataCount = 12
	if id == dataCount {
		return 2*sectionCode - 1
	}
	return 2 * int(id)
}

// appendTo adds an element to a list, and returns how many there were.
func appendTo(list []byte, element ...byte) ([]byte, uint64, error) {
	if list == nil {
		list = []byte{0}
	}
	r := &reader{rest: list}
	count := r.number()
	return slices.Concat(binary.AppendUvarint(nil, count+1), r.rest, element), count, r.err
}

// importedGlobals counts the variables that a module imports, which come before its own.
func importedGlobals(imports []byte) (globals uint64, err error) {
	if imports == nil {
		return 0, nil
	}
	r := &reader{rest: imports}
	for range r.number() {
		r.take(r.number()) // of the module
		r.take(r.number()) // of the name
		switch kind := r.byte(); kind {
		case 0: // a function
			r.number()
		case 1: // a table
			r.byte()
			r.limits()
		case 2: // a memory
			r.limits()
		case 3: // a variable
			r.take(2)
			globals++
		default:
			return 0, fmt.Errorf("%w: an import of the kind %d", errModule, kind)
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	return globals, nil
}

// addChecks returns the functions of a module with a look at the fuse at the beginning of each of them and
// of each of their loops.
func addChecks(code []byte, fuse uint64) ([]byte, error) {
	if code == nil {
		return []byte{0}, nil
	}
	check := append(binary.AppendUvarint([]byte{opGlobalGet}, fuse), opIf, 0x40, opUnreachable, opEnd)
	r := &reader{rest: code}
	count := r.number()
	out := binary.AppendUvarint(make([]byte, 0, len(code)+len(code)/4), count)
	for range count {
		body, err := checked(r.take(r.number()), check, fuse)
		if err = errors.Join(r.err, err); err != nil {
			return nil, err
		}
		out = append(binary.AppendUvarint(out, uint64(len(body))), body...)
	}
	return out, nil
}

// checked returns the body of a function with checks.
func checked(body, check []byte, fuse uint64) ([]byte, error) {
	r := &reader{rest: body}
	for range r.number() {
		r.number() // so many variables
		r.byte()   // of a type
		if r.err != nil {
			return nil, r.err
		}
	}
	out := append(make([]byte, 0, len(body)+len(body)/4), body[:len(body)-len(r.rest)]...)
	out = append(out, check...)
	for len(r.rest) > 0 && r.err == nil {
		before := r.rest
		op := r.instruction(fuse)
		out = append(out, before[:len(before)-len(r.rest)]...)
		if op == opLoop {
			out = append(out, check...)
		}
	}
	return out, r.err
}
