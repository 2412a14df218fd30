// The command build makes the programs that package tools embeds, or with -check says whether they are what
// it would make. It is run by `make gen` and `make check`, in the folder of that package. The same sources,
// toolchain and versions make the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
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
	check := flag.Bool("check", false, "write nothing, and fail where something would change")
	flag.Parse()
	if err := run(context.Background(), *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, check bool) error {
	for name, program := range map[string]func(context.Context) ([]byte, error){"reader.wasm.gz": buildReader, "pdfium.wasm.gz": fetchPDFium} {
		made, err := program(ctx)
		switch {
		case err != nil:
			return err
		case holds(name, made):
		case check:
			return fmt.Errorf("%s is stale: run `make gen` and commit what it writes", name)
		default:
			if err := pack(name, made); err != nil {
				return err
			}
		}
	}
	return nil
}

// buildReader compiles the readers.
func buildReader(ctx context.Context) ([]byte, error) {
	folder, err := os.MkdirTemp("", "sandgate-tools-*")
	if err != nil {
		return nil, fmt.Errorf("build the reader: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "reader.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", file, "./reader")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWASM=")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the reader: %w", err)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("build the reader: %w", err)
	}
	return program, nil
}

// fetchPDFium takes PDFium out of its module.
func fetchPDFium(ctx context.Context) ([]byte, error) {
	text, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", pdfiumModule).Output()
	if err != nil {
		return nil, fmt.Errorf("download %s: %w", pdfiumModule, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		return nil, fmt.Errorf("download %s: %w", pdfiumModule, err)
	}
	program, err := os.ReadFile(filepath.Join(module.Dir, pdfiumFile))
	if err != nil {
		return nil, fmt.Errorf("download %s: %w", pdfiumModule, err)
	}
	if sum := sha256.Sum256(program); hex.EncodeToString(sum[:]) != pdfiumSum {
		return nil, fmt.Errorf("%s of %s is another than it was: its SHA-256 is %x", pdfiumFile, pdfiumModule, sum)
	}
	return program, nil
}

// holds tells whether a file holds a program. What gzip makes of it does not matter.
func holds(name string, program []byte) bool {
	old, err := os.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = old.Close() }()
	from, err := gzip.NewReader(old)
	if err != nil {
		return false
	}
	held, err := io.ReadAll(from)
	return err == nil && bytes.Equal(held, program)
}

// pack compresses a program into a file.
func pack(name string, program []byte) error {
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
	if err := os.WriteFile(name, packed.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	fmt.Fprintf(os.Stderr, "%s: %d bytes, of a program of %d\n", name, packed.Len(), len(program))
	return nil
}
