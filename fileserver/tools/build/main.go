// The command build makes the programs that package tools embeds. It is run by `make gen`, in the folder of
// that package. The same sources, toolchain and versions make the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Where PDFium comes from: the module carries the WebAssembly build of its version.
const (
	pdfiumModule = "github.com/klippa-app/go-pdfium@v1.17.2"
	pdfiumFile   = "webassembly/pdfium.wasm"
	pdfiumSum    = "73417fa7cdcb34fba2a23aa1f7a480cc873a7301c8d74f08a1dea800f782a454"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := buildReader(ctx); err != nil {
		return err
	}
	return fetchPDFium(ctx)
}

// buildReader compiles the readers.
func buildReader(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "sandgate-tools-*")
	if err != nil {
		return fmt.Errorf("build the reader: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "reader.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", file, "./reader")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWASM=")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the reader: %w", err)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("build the reader: %w", err)
	}
	return pack("reader.wasm.gz", program)
}

// fetchPDFium takes PDFium out of its module.
func fetchPDFium(ctx context.Context) error {
	text, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", pdfiumModule).Output()
	if err != nil {
		return fmt.Errorf("download %s: %w", pdfiumModule, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		return fmt.Errorf("download %s: %w", pdfiumModule, err)
	}
	program, err := os.ReadFile(filepath.Join(module.Dir, pdfiumFile))
	if err != nil {
		return fmt.Errorf("download %s: %w", pdfiumModule, err)
	}
	if sum := sha256.Sum256(program); hex.EncodeToString(sum[:]) != pdfiumSum {
		return fmt.Errorf("%s of %s is another than it was: its SHA-256 is %x", pdfiumFile, pdfiumModule, sum)
	}
	return pack("pdfium.wasm.gz", program)
}

// pack compresses a program, unless the file holds it already: what gzip makes of it may differ by version.
func pack(name string, program []byte) error {
	if old, err := os.ReadFile(name); err == nil {
		if from, err := gzip.NewReader(bytes.NewReader(old)); err == nil {
			var held bytes.Buffer
			if _, err := held.ReadFrom(from); err == nil && bytes.Equal(held.Bytes(), program) {
				return nil
			}
		}
	}
	var packed bytes.Buffer
	to, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if _, err := to.Write(program); err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if err := to.Close(); err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if err := os.WriteFile(name, packed.Bytes(), 0o644); err != nil { //nolint:gosec // a source file
		return fmt.Errorf("write %s: %w", name, err)
	}
	fmt.Fprintf(os.Stderr, "%s: %d bytes, of a program of %d\n", name, packed.Len(), len(program))
	return nil
}
