// Package pdf reads PDF documents with PDFium, which runs as WebAssembly: its code and the document have no
// more of the host than the numbers and bytes that this package reads from them, each of which is checked.
// What PDFium's functions do is documented in its public headers, fpdfview.h, fpdf_text.h and fpdf_doc.h.
package pdf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/wasm"
)

const (
	maxPages    = 20_000
	maxMetaText = 4 << 10 // bytes of UTF-16
)

// ErrPassword is for a document that cannot be opened without one.
var ErrPassword = errors.New("the document is encrypted: it needs a password")

// A file is an open document. It is used by one goroutine.
type file struct {
	lib    *wasm.Instance
	handle uint64
	pages  int
	failed error // the first error of a call; calls after it do nothing
}

// open opens a document in a fresh instance of PDFium, which the caller closes.
func open(lib *wasm.Instance, data []byte) (*file, error) {
	f := &file{lib: lib}
	f.call("FPDF_InitLibrary")
	at := f.alloc(len(data))
	if f.failed == nil {
		f.failed = lib.Write(at, data)
	}
	f.handle = f.call("FPDF_LoadMemDocument", uint64(at), uint64(len(data)), 0)
	if f.failed == nil && f.handle == 0 {
		const password = 4 // FPDF_ERR_PASSWORD
		if f.call("FPDF_GetLastError") == password {
			return nil, ErrPassword
		}
		return nil, document.Damaged("PDFium cannot open it")
	}
	if f.pages = int(int32(f.call("FPDF_GetPageCount", f.handle))); f.pages < 0 || f.pages > maxPages {
		return nil, document.Damaged("it says that it has %d pages", f.pages)
	}
	return f, f.failed
}

// call calls a function. It returns zero after an error, which failed keeps.
func (f *file) call(function string, args ...uint64) uint64 {
	if f.failed != nil {
		return 0
	}
	var result uint64
	result, f.failed = f.lib.Call(function, args...)
	if f.failed != nil {
		return 0
	}
	return result
}

// alloc allocates memory in the instance.
func (f *file) alloc(size int) uint32 {
	if f.failed != nil {
		return 0
	}
	var at uint32
	at, f.failed = f.lib.Alloc(size)
	return at
}

func (f *file) free(at uint32) { f.call("free", uint64(at)) }

// read returns bytes of the instance's memory, nil after an error.
func (f *file) read(at uint32, size int) []byte {
	if f.failed != nil {
		return nil
	}
	var data []byte
	data, f.failed = f.lib.Read(at, size)
	return data
}

// wide calls a function that writes a text of UTF-16 to a buffer and returns its length in bytes.
func (f *file) wide(fill func(buffer, size uint64) uint64) string {
	at := f.alloc(maxMetaText)
	defer f.free(at)
	written := fill(uint64(at), maxMetaText)
	if written > maxMetaText {
		return "" // it wrote nothing
	}
	return fromUTF16(f.read(at, int(written)&^1))
}

// fromUTF16 decodes a text that a NUL may end.
func fromUTF16(data []byte) string {
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) > 1; data = data[2:] {
		unit := binary.LittleEndian.Uint16(data)
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	return string(utf16.Decode(units))
}

// meta returns what the document says of itself.
func (f *file) meta(key string) string {
	tag := f.alloc(len(key) + 1)
	defer f.free(tag)
	if f.failed == nil {
		f.failed = f.lib.Write(tag, append([]byte(key), 0))
	}
	return f.wide(func(buffer, size uint64) uint64 {
		return f.call("FPDF_GetMetaText", f.handle, uint64(tag), buffer, size)
	})
}

// A Reader reads PDF documents. Its methods may be called by any number of goroutines.
type Reader struct{ library *wasm.Library }

// NewReader compiles PDFium, or finds it in the host's cache. It is freed with the host.
func NewReader(ctx context.Context, host *wasm.Host, pdfium []byte) (*Reader, error) {
	library, err := host.CompileLibrary(ctx, "PDFium", pdfium)
	if err != nil {
		return nil, fmt.Errorf("make the reader of PDF: %w", err)
	}
	return &Reader{library: library}, nil
}

// with opens a document for do.
func (r *Reader) with(ctx context.Context, data []byte, do func(*file) error) (err error) {
	lib, err := r.library.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lib.Close()) }()
	f, err := open(lib, data)
	if err != nil {
		return err
	}
	return do(f)
}
