// Package tools holds the WebAssembly programs that read what nobody trusts, compressed as they are embedded.
// Package reader is the source of one, PDFium of the other.
package tools

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // for the programs
	"encoding/hex"
	"fmt"
	"io"
)

//go:generate go run ./build

//go:embed reader.wasm.gz
var reader []byte

//go:embed pdfium.wasm.gz
var pdfium []byte

// Version tells programs apart that are not the same. It is a name that a file may have.
func Version() string {
	sum := sha256.New()
	for _, program := range [][]byte{reader, pdfium} {
		sum.Write(program)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// Reader returns the WASI program that reads documents of every format but PDF.
func Reader() ([]byte, error) { return unpack("the reader", reader) }

// PDFium returns PDFium, the library that reads PDF.
func PDFium() ([]byte, error) { return unpack("PDFium", pdfium) }

func unpack(name string, packed []byte) ([]byte, error) {
	from, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", name, err)
	}
	program, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", name, err)
	}
	return program, nil
}
