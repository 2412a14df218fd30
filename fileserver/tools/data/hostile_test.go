package data

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/tools/inflate"
)

// zeros is an endless file.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// gzipped returns a compressed file.
func gzipped(t *testing.T, content io.Reader) []byte {
	t.Helper()
	var packed bytes.Buffer
	to, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, content); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// TestBomb reads files that become far larger than they are.
func TestBomb(t *testing.T) {
	const size = maxInflated + 1<<20
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "large", Size: size}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		content io.Reader
		says    string
	}{
		"file":    {io.LimitReader(zeros{}, size), "of more than "},
		"archive": {io.MultiReader(&head, io.LimitReader(zeros{}, size)), "| large | file | " + fmt.Sprint(size)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := read(t, Tar, "bomb.gz", "", gzipped(t, test.content))
			if !errors.Is(err, errInflated) || !strings.Contains(text, test.says) {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}

// TestWindow reads an xz file whose head claims four gigabytes of memory.
func TestWindow(t *testing.T) {
	packed := load(t, "testdata/packed.tar.xz")
	at := bytes.Index(packed, []byte{0x21, 0x01}) + 2 // the filter LZMA2 and the length of its options
	packed[at] = 40
	if _, err := read(t, Tar, "", "", packed); !errors.Is(err, inflate.ErrWindow) {
		t.Error(err)
	}
}

// TestDamagedDatabase breaks a database in the ways that would make a reader go round or out of the file.
func TestDamagedDatabase(t *testing.T) {
	const page = 1024
	sound := load(t, "testdata/shop.db")
	root := bytes.Index(sound[page:], []byte{5}) / page // the first inner page of a table
	tests := map[string]func(db []byte){
		"page size":     func(db []byte) { db[16], db[17] = 3, 3 },
		"cut":           func(db []byte) { clear(db[3*page:]) },
		"cells":         func(db []byte) { db[103], db[104] = 0xff, 0xff },
		"cell pointers": func(db []byte) { copy(db[108:], bytes.Repeat([]byte{0xff}, 8)) },
		"cycle": func(db []byte) {
			for i := 1; i < len(db)/page; i++ {
				if p := db[i*page:]; p[0] == 5 { // the right-most child is the page itself
					p[8], p[9], p[10], p[11] = 0, 0, byte((i+1)>>8), byte(i+1)
				}
			}
		},
	}
	if root < 0 {
		t.Fatal("no inner page")
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			db := bytes.Clone(sound)
			damage(db)
			if _, err := read(t, SQLite, "", "", db); !errors.Is(err, document.ErrFormat) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestDeep reads JSON that is nested deeper than a stack should be.
func TestDeep(t *testing.T) {
	for _, open := range []string{"[", `{"a":`} {
		if _, err := read(t, JSON, "", "", []byte(strings.Repeat(open, 2_000_000))); !errors.Is(err, document.ErrFormat) {
			t.Errorf("%s: %v", open, err)
		}
	}
}

// TestManyKeys reads an object whose outline would be as large as itself.
func TestManyKeys(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 50_000 {
		fmt.Fprintf(&b, `"k%d": {"a%d": %d},`, i, i, i)
	}
	b.WriteString(`"last": 1}`)
	text, err := read(t, JSON, "", "schema", []byte(b.String()))
	if err != nil || len(text) > 50_000 || !strings.Contains(text, ".* (the other keys): object (49900), integer") {
		t.Errorf("%v\n%.2000s", err, text)
	}
}

// TestWideRow reads a table one row of which is wider than all others together.
func TestWideRow(t *testing.T) {
	content := "a,b\n" + strings.Repeat("1,2\n", 2_000) + strings.Repeat(",", 300_000) + "\n" + strings.Repeat("3,4\n", 2_000)
	text, err := read(t, CSV, "", "", []byte(content))
	if err != nil || len(text) > 20*len(content) {
		t.Errorf("%v: %d bytes of %d", err, len(text), len(content))
	}
}

// TestQuotes reads what would take a time that grows with the square of its size.
func TestQuotes(t *testing.T) {
	if _, err := read(t, CSV, "", "", []byte(strings.Repeat("\"a,\n", 300_000))); err != nil {
		t.Error(err)
	}
}

// TestBinary says what is no text.
func TestBinary(t *testing.T) {
	tests := map[string]string{
		"\x7fELF\x02\x01\x01\x00\x00": "a program for Linux (ELF): it begins with the bytes 7f 45 4c 46 02 01 01 00",
		"%PDF-1.7\n\x00\x01":          "a PDF document",
		"\x00\x01\x02\x03\x04":        "binary data of an unknown kind",
	}
	for content, want := range tests {
		for name, reader := range map[string]document.Reader{"text": Text, "csv": CSV, "json": JSON, "jsonl": JSONLines} {
			if _, err := read(t, reader, "", "", []byte(content)); !errors.Is(err, document.ErrFormat) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s of %q: %v", name, content, err)
			}
		}
	}
}

func TestEmpty(t *testing.T) {
	for name, reader := range map[string]document.Reader{"text": Text, "csv": CSV, "jsonl": JSONLines} {
		if _, err := read(t, reader, "", "", nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, reader := range map[string]document.Reader{"json": JSON, "sqlite": SQLite, "zip": Zip} {
		if _, err := read(t, reader, "", "", nil); !errors.Is(err, document.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
