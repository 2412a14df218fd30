package data

import (
	"errors"
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/tools/inflate"
)

func FuzzCSV(f *testing.F) { fuzz(f, CSV, ".csv", ".tsv") }

func FuzzJSON(f *testing.F) { fuzz(f, JSON, ".json") }

func FuzzJSONLines(f *testing.F) { fuzz(f, JSONLines, ".jsonl") }

func FuzzText(f *testing.F) { fuzz(f, Text, ".txt", ".md") }

func FuzzSQLite(f *testing.F) { fuzz(f, SQLite, ".db") }

func FuzzZip(f *testing.F) { fuzz(f, Zip, ".zip") }

func FuzzTar(f *testing.F) { fuzz(f, Tar, ".tar", ".gz", ".bz2", ".xz", ".zst") }

// fuzz looks for what makes a reader panic, and for errors that are neither the file's fault nor a bound.
func fuzz(f *testing.F, reader document.Reader, endings ...string) {
	f.Helper()
	for _, path := range documents(f, endings...) {
		f.Add(load(f, path))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"x", "x.md"} {
			_, err := read(t, reader, name, "", data)
			if err != nil && !errors.Is(err, document.ErrFormat) && !errors.Is(err, errInflated) && !errors.Is(err, inflate.ErrWindow) {
				t.Error(err)
			}
		}
	})
}
