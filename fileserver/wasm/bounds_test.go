package wasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// sectionOf writes one of a module, of so many elements.
func sectionOf(id byte, elements ...[]byte) []byte {
	content := slices.Concat(elements...)
	content = append(binary.AppendUvarint(nil, uint64(len(elements))), content...)
	return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
}

func nameOf(name string) []byte { return append([]byte{byte(len(name))}, name...) }

// command writes a module whose _start, the only function of its own, has that code. Tables may be nil.
func command(tables [][]byte, code ...byte) []byte {
	body := append(append([]byte{0}, code...), opEnd)
	var table []byte
	if tables != nil {
		table = sectionOf(sectionTable, tables...)
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		sectionOf(sectionType, []byte{typeFunction, 0, 0}, []byte{typeFunction, 2, typeI32, typeI32, 1, typeI32}),
		sectionOf(sectionImport, slices.Concat(nameOf("wasi_snapshot_preview1"), nameOf("fd_renumber"), []byte{0, 1})),
		sectionOf(sectionFunction, []byte{0}),
		table,
		sectionOf(sectionMemory, []byte{0, 1}),
		sectionOf(sectionExport, append(nameOf("_start"), 0, 1), append(nameOf("memory"), 2, 0)),
		sectionOf(sectionCode, append(binary.AppendUvarint(nil, uint64(len(body))), body...)),
	)
}

// TestHostileModules run, and each meets its wall. They are written by hand, as no compiler makes them.
func TestHostileModules(t *testing.T) {
	host, err := NewHost("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Close() }()
	const unreachable, call, loop, branchIf, notEqual, minusOne = opUnreachable, opCall, opLoop, 0x0d, 0x47, 0x7f
	var exit *ExitError
	ok := func(err error) bool { return err == nil }
	for _, test := range []struct {
		name   string
		module []byte
		is     func(error) bool
	}{
		{"it does nothing", command(nil), ok},
		{"it traps", command(nil, unreachable), func(err error) bool { return errors.As(err, &exit) && exit.Code == 0 }},
		// A table grows by 65,536 elements for as long as it does: bounded to 8 MiB, it soon does not.
		{
			"a table grows", command([][]byte{{0x70, 0, 0}},
				loop, 0x40, 0xd0, 0x70, opI32Const, 0x80, 0x80, 0x04, 0xfc, 15, 0, opI32Const, minusOne, notEqual, branchIf, 0, opEnd), ok,
		},
		{
			"the memory grows", command(nil,
				loop, 0x40, opI32Const, 1, opMemoryGrow, 0, opI32Const, minusOne, notEqual, branchIf, 0, opEnd), ok,
		},
		{
			"the memory grows and it gives up", command(nil,
				loop, 0x40, opI32Const, 1, opMemoryGrow, 0, opI32Const, minusOne, notEqual, branchIf, 0, opEnd, unreachable),
			func(err error) bool { return errors.Is(err, ErrMemory) },
		},
		{"it calls itself", command(nil, call, 1), func(err error) bool { return errors.As(err, &exit) && exit.Code == 0 }},
		// fd_renumber would have the host make room for two thousand million descriptors. It is not supported whatever it
		// is given, where wazero's own says of 33 that it is no descriptor.
		{
			"a descriptor of a large number", command(nil,
				opI32Const, 33, opI32Const, 0xff, 0xff, 0xff, 0xff, 0x07, call, 0, opI32Const, 58, notEqual, opIf, 0x40, unreachable, opEnd), ok,
		},
	} {
		program, err := host.Compile(t.Context(), test.name, test.module)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		limits := some
		limits.Memory = 16 << 20
		if err := program.Run(t.Context(), limits, io.NopCloser(strings.NewReader("")), io.Discard); !test.is(err) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestRefusedModules would have the host do or hold something before anything can be bounded.
func TestRefusedModules(t *testing.T) {
	host, err := NewHost("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Close() }()
	withStart := slices.Concat(command(nil)[:len(command(nil))-6], sectionOf(sectionStart)[:1], []byte{1, 1}, command(nil)[len(command(nil))-6:])
	many := make([][]byte, maxTables+1)
	for i := range many {
		many[i] = []byte{0x70, 0, 1}
	}
	locals := command(nil)
	locals = slices.Concat(locals[:len(locals)-6], []byte{sectionCode, 8, 1, 6, 1, 0xd1, 0x86, 0x03, typeI32, opEnd}) // 50,001
	returning := bytes.Replace(command(nil, opI32Const, 0), []byte{sectionFunction, 2, 1, 0}, []byte{sectionFunction, 2, 1, 1}, 1)
	for _, test := range []struct {
		name   string
		module []byte
		want   string
	}{
		{"a start that returns something", returning, "takes or returns something"},
		{"a start section", withStart, "start section"},
		{"a large table", command([][]byte{{0x70, 0, 0x81, 0x80, 0x40}}), "more than 1048576 elements"},
		{"two that are large together", command([][]byte{{0x70, 0, 0x80, 0x80, 0x20}, {0x70, 0, 0x81, 0x80, 0x20}}), "more than 1048576 elements"},
		{"many tables", command(many), "65 tables"},
		{"a table of something else", command([][]byte{{0x40, 0, 1}}), "of the kind 0x40"},
		{"many variables", locals, "more than 50000 variables"},
	} {
		_, err := host.Compile(t.Context(), test.name, test.module)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
