package data

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	os.Exit(m.Run())
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// read returns the reply of a reader to a selection of parts as a test sees it, and the reader's error.
func read(tb testing.TB, reader document.Reader, name, parts string, data []byte) (string, error) {
	tb.Helper()
	selection, err := document.ParseSelection(parts)
	if err != nil {
		tb.Fatal(err)
	}
	out := document.NewOutput(document.Request{Limit: 1 << 30})
	readErr := reader(&document.Input{Name: name, Data: data, Parts: selection}, out)
	var reply bytes.Buffer
	if err := out.Write(&reply, "", readErr); err != nil {
		tb.Fatal(err)
	}
	return pretty(tb, reply.Bytes()), readErr
}

// readerOf returns the reader of a file by its name.
func readerOf(name string) document.Reader {
	switch filepath.Ext(name) {
	case ".csv", ".tsv":
		return CSV
	case ".json":
		return JSON
	case ".jsonl":
		return JSONLines
	case ".db":
		return SQLite
	case ".zip":
		return Zip
	case ".tar", ".gz", ".bz2", ".xz", ".zst":
		return Tar
	default:
		return Text
	}
}

// documents returns the files in testdata that end with one of endings, or all that are read.
func documents(tb testing.TB, endings ...string) []string {
	tb.Helper()
	all, err := filepath.Glob("testdata/*.*")
	if err != nil {
		tb.Fatal(err)
	}
	var found []string
	for _, path := range all {
		ending := filepath.Ext(path)
		if ending != ".golden" && !strings.HasSuffix(path, "README.md") && (len(endings) == 0 || slices.Contains(endings, ending)) {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		tb.Fatal("no documents")
	}
	return found
}

func load(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestGolden(t *testing.T) {
	damaged := []string{"cut.json", "nan.json", "events.jsonl"}
	for _, path := range documents(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got, err := read(t, readerOf(path), filepath.Base(path), "", load(t, path))
			if want := slices.Contains(damaged, filepath.Base(path)); errors.Is(err, document.ErrFormat) != want || err != nil && !want {
				t.Fatal(err)
			}
			golden := path + ".golden"
			if updating() {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(load(t, golden)), got); diff != "" {
				t.Errorf("%s (-want +got), run with -update if it should change:\n%s", golden, diff)
			}
		})
	}
}

// TestCutShort reads beginnings of every file: none may panic, and an error is the file's fault.
func TestCutShort(t *testing.T) {
	for _, path := range documents(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data := load(t, path)
			for n := 0; n < len(data); n += max(1, len(data)/100) {
				if _, err := read(t, readerOf(path), filepath.Base(path), "", data[:n]); err != nil && !errors.Is(err, document.ErrFormat) {
					t.Fatalf("%d bytes: %v", n, err)
				}
			}
		})
	}
}

// TestSelection asks for parts by number, location and name.
func TestSelection(t *testing.T) {
	tests := []struct{ file, parts, want string }{
		{"rows.csv", "2", "[rows 501-1000]"},
		{"rows.csv", "rows 1001-1203", "[rows 1001-1203]"},
		{"users.json", "schema", "[schema]"},
		{"users.json", "1", "[schema]"},
		{"users.json", "meta", "[$.meta]"},
		{"users.json", "$.users", "[$.users[0-99]] [$.users[100-199]] [$.users[200-249]]"},
		{"users.json", "$.users[100-199]", "[$.users[100-199]]"},
		{"users.json", "matrix,empty", "[$.matrix to $.empty]"},
		{"list.json", "2", "[$]"},
		{"events.jsonl", "lines 1-6", "[lines 1-6]"},
		{"plain.txt", "3-", "[lines 801-902]"},
		{"notes.md", "Two", "[lines 11-17] Two"},
		{"shop.db", "pairs", "[table pairs rows 1-30]"},
		{"shop.db", "table users rows 1-500", "[table users rows 1-500]"},
		{"shop.db", "3", "[table users rows 501-509]"},
		{"files.zip", "1", "[entries 1-3]"},
		{"packed.tar.zst", "2", ""},
	}
	for _, test := range tests {
		t.Run(test.file+" "+test.parts, func(t *testing.T) {
			got, _ := read(t, readerOf(test.file), test.file, test.parts, load(t, filepath.Join("testdata", test.file)))
			var heads []string
			for line := range strings.Lines(got) {
				if len(line) > 2 && line[0] == '[' {
					heads = append(heads, strings.TrimSpace(line))
				}
			}
			if got := strings.Join(heads, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
