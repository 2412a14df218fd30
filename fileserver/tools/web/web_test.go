package web_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/tools/web"
)

var update = flag.Bool("update", false, "rewrite the golden files") //nolint:gochecknoglobals // a flag

// readers are by the ending of a file's name.
func readers() map[string]document.Reader {
	return map[string]document.Reader{
		".html": web.HTML, ".epub": web.EPUB, ".rtf": web.RTF, ".eml": web.Mail, ".ipynb": web.Notebook, ".xml": web.XML,
	}
}

// read reads a document, or the parts of it that are selected.
func read(tb testing.TB, reader document.Reader, data []byte, parts string) document.Reply {
	tb.Helper()
	out := document.NewOutput(document.Request{Limit: 1 << 30})
	selection, err := document.ParseSelection(parts)
	if err != nil {
		tb.Fatal(err)
	}
	failure := reader(&document.Input{Name: "test", Data: data, Parts: selection}, out)
	var written bytes.Buffer
	if err := out.Write(&written, "", failure); err != nil {
		tb.Fatal(err)
	}
	var reply document.Reply
	if err := json.Unmarshal(written.Bytes(), &reply); err != nil {
		tb.Fatal(err)
	}
	return reply
}

// TestGolden reads the documents in testdata and compares all that is told of them.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		reader, ok := readers()[filepath.Ext(file)]
		if !ok {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			reply := read(t, reader, data, "")
			text := reply.Text
			reply.Text = ""
			head, err := json.MarshalIndent(reply, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, file+".golden", string(head)+"\n\n"+text)
		})
	}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s has changed (-want +got), run with -update if it should:\n%s", file, diff)
	}
}

// TestSelection gives out what is selected by number, by location and by title.
func TestSelection(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ file, parts, locations string }{
		{"book.epub", "2", "chapter 2"},
		{"book.epub", "2-", "chapter 2, chapter 3"},
		{"book.epub", "reckoning", "chapter 3"},
		{"book.epub", "chapter 1", "chapter 1"},
		{"tides.eml", "", "header, part 1.1, part 2, part 3, part 4, part 4.1"},
		{"tides.eml", "part 1.2", "part 1.2"},
		{"tides.eml", "4.1", "part 4.1"},
		{"tides.eml", "heights.csv", "part 3"},
		{"tides.ipynb", "2,4", "cell 2, cell 4"},
		{"tides.ipynb", "cell 3", "cell 3"},
		{"book.html", "2", ""},
		{"ports.xml", "1", "lines 1-20"},
	} {
		t.Run(test.file+" "+test.parts, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(filepath.Join("testdata", test.file))
			if err != nil {
				t.Fatal(err)
			}
			reply := read(t, readers()[filepath.Ext(test.file)], data, test.parts)
			if got := locations(reply); got != test.locations || reply.Error != "" {
				t.Errorf("the parts are %q (error %q), want %q", got, reply.Error, test.locations)
			}
		})
	}
}

func locations(reply document.Reply) string {
	list := make([]string, len(reply.Parts))
	for i, part := range reply.Parts {
		list[i] = part.Location
	}
	return strings.Join(list, ", ")
}
