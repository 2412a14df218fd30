package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// A fuse is what ends a program that runs: every loop and every function of it counts down, and now and then
// looks at a variable that only the host sets. wazero can end programs by itself, but leaves them at every
// turn of a loop to ask, which makes a reader take three to four times as long. As machine code cannot be
// interrupted by Go's scheduler, neither for others nor for the collector, a program also comes back to Go
// then, by growing its memory by nothing. The format that is read and written here is that of the
// WebAssembly specification, chapter 5, "Binary Format".

// fuseName is the name under which the variable is exported.
const fuseName = "sandgate.fuse"

// Sections of a module by their ids, in the order in which they must come.
const (
	sectionCustom   = 0
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionMemory   = 5
	sectionGlobal   = 6
	sectionExport   = 7
	sectionCode     = 10
)

// period is how many turns of loops and calls there are between two looks, as a signed LEB128 number: 65,536,
// which take from less than a tenth of a millisecond to a few.
func period() []byte { return []byte{0x80, 0x80, 0x04} }

const typeFunction, typeI32, variable = 0x60, 0x7f, 1

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
	if err := errors.Join(checkStart(sections), boundTables(sections)); err != nil {
		return nil, err
	}
	imported, err := importsOf(find(sections, sectionImport))
	if err != nil {
		return nil, err
	}
	if memories := find(sections, sectionMemory); !imported.memory && (len(memories) == 0 || memories[0] == 0) {
		return nil, fmt.Errorf("%w: it has no memory", errModule)
	}
	globals, fuse, err := appendTo(find(sections, sectionGlobal), typeI32, variable, opI32Const, 0, opEnd)
	if err != nil {
		return nil, err
	}
	fuse += imported.globals
	globals, _, err = appendTo(globals, slices.Concat([]byte{typeI32, variable, opI32Const}, period(), []byte{opEnd})...) // the count
	if err != nil {
		return nil, err
	}
	export := append(binary.AppendUvarint(nil, uint64(len(fuseName))), fuseName...)
	exports, _, err := appendTo(find(sections, sectionExport), binary.AppendUvarint(append(export, 3), fuse)...)
	if err != nil {
		return nil, err
	}
	types, look, err := appendTo(find(sections, sectionType), typeFunction, 0, 1, typeI32)
	if err != nil {
		return nil, err
	}
	functions, lookout, err := appendTo(find(sections, sectionFunction), binary.AppendUvarint(nil, look)...)
	if err != nil {
		return nil, err
	}
	code, err := addChecks(find(sections, sectionCode), fuse, imported.functions+lookout)
	if err != nil {
		return nil, err
	}
	for id, content := range map[byte][]byte{
		sectionType: types, sectionFunction: functions, sectionGlobal: globals, sectionExport: exports, sectionCode: code,
	} {
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

// imports are what a module imports, which is counted before its own.
type imports struct {
	functions, globals uint64
	memory             bool
}

func importsOf(section []byte) (all imports, err error) {
	if section == nil {
		return all, nil
	}
	r := &reader{rest: section}
	for range r.number() {
		r.take(r.number()) // of the module
		r.take(r.number()) // of the name
		switch kind := r.byte(); kind {
		case 0: // a function
			r.number()
			all.functions++
		case 1: // a table
			r.byte()
			r.limits()
		case 2: // a memory
			r.limits()
			all.memory = true
		case 3: // a variable
			r.take(2)
			all.globals++
		default:
			r.fail("an import of the kind %d", kind)
		}
		if r.err != nil {
			return all, r.err
		}
	}
	return all, nil
}

// checkOf is what is put into loops and functions: count down, and at zero begin anew, come back to Go, and
// trap where the fuse has been blown. The count is the variable after the fuse. The fuse is looked at by a
// function of its own, as wazero keeps variables in registers until there is a call.
func checkOf(fuse, lookout uint64) []byte {
	count := binary.AppendUvarint(nil, fuse+1)
	return slices.Concat(
		[]byte{opGlobalGet}, count, []byte{opI32Const, 0x7f, opI32Add, opGlobalSet}, count, // one less
		[]byte{opGlobalGet}, count, []byte{opI32Eqz, opIf, 0x40},
		[]byte{opI32Const}, period(), []byte{opGlobalSet}, count,
		[]byte{opI32Const, 0, opMemoryGrow, 0, opDrop},
		[]byte{opCall}, binary.AppendUvarint(nil, lookout), []byte{opIf, 0x40, opUnreachable, opEnd},
		[]byte{opEnd},
	)
}

// addChecks returns the functions of a module with a check at the beginning of each of them and of each of
// their loops, and behind them the one that looks at the fuse.
func addChecks(code []byte, fuse, lookout uint64) ([]byte, error) {
	if code == nil {
		code = []byte{0}
	}
	check := checkOf(fuse, lookout)
	r := &reader{rest: code}
	count := r.number()
	out := binary.AppendUvarint(make([]byte, 0, 2*len(code)), count+1)
	add := func(body []byte) { out = append(binary.AppendUvarint(out, uint64(len(body))), body...) }
	for range count {
		body, err := checked(r.take(r.number()), check, fuse)
		if err = errors.Join(r.err, err); err != nil {
			return nil, err
		}
		add(body)
	}
	add(append(binary.AppendUvarint([]byte{0, opGlobalGet}, fuse), opEnd))
	return out, nil
}

// checked returns the body of a function with checks.
func checked(body, check []byte, fuse uint64) ([]byte, error) {
	r := &reader{rest: body}
	locals := uint64(0)
	for range r.number() {
		locals += r.number() // so many variables
		r.byte()             // of a type
		if locals > maxLocals {
			r.fail("a function with more than %d variables", maxLocals)
		}
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
