package wasm

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/sandgate/sandgate/fileserver/tools"
)

// module makes a module of sections.
func module(sections ...string) []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		out = append(append(out, s[0], byte(len(s)-1)), s[1:]...)
	}
	return out
}

const (
	oneType     = "\x01\x01\x60\x00\x00"
	oneFunction = "\x03\x01\x00"
	oneMemory   = "\x05\x01\x00\x01"
)

// body makes the code section of one function without variables.
func body(instructions string) string {
	return "\x0a\x01" + string(rune(len(instructions)+1)) + "\x00" + instructions
}

// TestFuse looks at what is written where.
func TestFuse(t *testing.T) {
	const check = "\x23\x01\x41\x7f\x6a\x24\x01\x23\x01\x45\x04\x40\x41\x80\x80\x04\x24\x01\x41\x00\x40\x00\x1a\x10\x01\x04\x40\x00\x0b\x0b"
	for _, test := range []struct{ name, instructions, want string }{
		{"a loop", "\x03\x40\x0c\x00\x0b\x0b", check + "\x03\x40" + check + "\x0c\x00\x0b\x0b"},
		{"what looks like a loop", "\x41\x03\x1a\x0b", check + "\x41\x03\x1a\x0b"},
		{"a branch over several", "\x02\x40\x41\x00\x0e\x01\x00\x00\x0b\x0b", check + "\x02\x40\x41\x00\x0e\x01\x00\x00\x0b\x0b"},
		{"a vector with loops in it", "\xfd\x0c" + strings.Repeat("\x03", 16) + "\x1a\x0b", check + "\xfd\x0c" + strings.Repeat("\x03", 16) + "\x1a\x0b"},
	} {
		got, err := addFuse(module(oneType, oneFunction, oneMemory, body(test.instructions)))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		fused := body(test.want)
		fused = fused[:1] + "\x02" + fused[2:] + "\x04\x00\x23\x00\x0b"
		want := module("\x01\x02\x60\x00\x00\x60\x00\x01\x7f", "\x03\x02\x00\x01", oneMemory, "\x06\x02\x7f\x01\x41\x00\x0b\x7f\x01\x41\x80\x80\x04\x0b", "\x07\x01\x0d"+fuseName+"\x03\x00", fused)
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%q, want\n%q", test.name, got, want)
		}
	}
}

// TestNoMemory: there is nothing to grow, so that it would not come back to Go.
func TestNoMemory(t *testing.T) {
	if _, err := addFuse(module(oneType, oneFunction, body("\x0b"))); !errors.Is(err, errModule) {
		t.Error(err)
	}
}

// TestFuseIsTheHosts: a module that would read or set it is refused, and so is what is not known.
func TestFuseIsTheHosts(t *testing.T) {
	for name, instructions := range map[string]string{
		"reads it": "\x23\x00\x1a\x0b", "sets it": "\x41\x00\x24\x00\x0b", "sets it in a long way": "\x41\x00\x24\x80\x80\x80\x00\x0b", "counts": "\x41\x00\x24\x01\x0b",
		"threads": "\xfe\x00\x0b", "cut": "\x41", "a vector that there is not": "\xfd\x80\x80\x04\x0b",
	} {
		if _, err := addFuse(module(oneType, oneFunction, oneMemory, body(instructions))); !errors.Is(err, errModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFuse: a module that is valid stays so, and none makes the host fail.
func FuzzFuse(f *testing.F) {
	f.Add(module(oneType, oneFunction, oneMemory, body("\x03\x40\x0c\x00\x0b\x0b")))
	f.Add(module(oneType, "\x02\x01\x01e\x01g\x03\x7f\x00", oneFunction, oneMemory, "\x06\x01\x7e\x01\x42\x05\x0b", "\x07\x01\x01m\x03\x01", body("\x23\x00\x1a\x0b")))
	if library, err := tools.PDFium(); err == nil {
		f.Add(library[:1000])
	}
	matches, _ := filepath.Glob("testdata/*.wasm")
	for _, match := range matches {
		data, err := os.ReadFile(match)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	runtime := wazero.NewRuntimeWithConfig(f.Context(), wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { _ = runtime.Close(f.Context()) })
	f.Fuzz(func(t *testing.T, data []byte) {
		fused, err := addFuse(data)
		compiled, compileErr := runtime.CompileModule(t.Context(), data)
		if compileErr != nil {
			return
		}
		_ = compiled.Close(t.Context())
		if err != nil {
			if !errors.Is(err, errModule) {
				t.Error(err)
			}
			return // it is refused though it is valid: something that is not known here
		}
		again, err := runtime.CompileModule(t.Context(), fused)
		if err != nil {
			t.Fatalf("a valid module is none with a fuse: %v", err)
		}
		_ = again.Close(t.Context())
	})
}
