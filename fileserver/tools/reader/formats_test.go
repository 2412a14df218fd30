package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// zipOf makes an archive with empty files.
func zipOf(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		if _, err := w.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFormatOf tells formats by content first, and by name where the content is any text.
func TestFormatOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, content, want string }{
		{"a.docx", zipOf(t, "[Content_Types].xml", "word/document.xml"), "docx"},
		{"a.txt", zipOf(t, "xl/workbook.xml"), "xlsx"},
		{"a", zipOf(t, "ppt/presentation.xml"), "pptx"},
		{"a.zip", zipOf(t, "mimetype", "META-INF/container.xml"), "epub"},
		{"a.docx", zipOf(t, "x"), "zip"},
		{"a.xlsx", "PK\x03\x04 torn", "zip"},
		{"a.doc", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office"},
		{"a.db", "SQLite format 3\x00", "sqlite"},
		{"a", `{\rtf1 x}`, "rtf"},
		{"a", "\x89PNG\r\n\x1a\n", "image"},
		{"BMW.txt", "BMW is a maker of cars", "text"},
		{"a", "BM\x00\xff\xff\xff", "image"},
		{"a", "RIFF\x00\x00\x00\x00WAVEfmt ", "audio"},
		{"a", "RIFF\x00\x00\x00\x00WEBPVP8 ", "image"},
		{"a", "\x00\x00\x00\x18ftypheic\x00", "image"},
		{"a", "\x00\x00\x00\x18ftypM4A \x00", "audio"},
		{"a", "\xff\xfb\x90\x00", "audio"},
		{"a.txt", "\xff\xfeh\x00i\x00", "text"},
		{"a.tar.gz", "\x1f\x8b\x08", "tar"},
		{"a", strings.Repeat("\x00", 257) + "ustar\x00", "tar"},
		{"a.CSV", "a,b\n", "csv"},
		{"a.geojson", "{}", "json"},
		{"a", "<!DOCTYPE html><p>", "html"},
		{"a", "<?xml version='1.0'?><a/>", "xml"},
		{"a.unknown", "words", "text"},
		{"", "", "text"},
	} {
		if got := formatOf(test.name, []byte(test.content)); got != test.want {
			t.Errorf("%q, %.20q: %s, want %s", test.name, test.content, got, test.want)
		}
	}
}

// TestRun asks the program as the host does.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		request document.Request
		reason  string
		text    string
	}{
		{document.Request{Name: "a.csv", Limit: 100}, "", "| a | b |"},
		{document.Request{Name: "a.csv", Limit: 10, Offset: 1 << 62}, "", ""},
		{document.Request{Name: "a.csv", Limit: 100, Search: "nothing of this"}, "", ""},
		{document.Request{Name: "a.csv", Limit: 100, Format: "wordstar"}, document.ReasonUnknown, ""},
		{document.Request{Name: "a.csv", Limit: 100, Parts: "5-2"}, document.ReasonSelection, ""},
		{document.Request{Name: "a.csv", Limit: 100, Parts: "-5"}, document.ReasonSelection, ""},
		{document.Request{Name: "a.csv", Limit: 100, Format: "sqlite"}, document.ReasonDamaged, ""},
	} {
		const data = "a,b\n1,2\n3,4\n"
		test.request.Size = int64(len(data))
		request, err := json.Marshal(test.request)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := run(strings.NewReader(fmt.Sprintf("%s\n%s", request, data)), &out); err != nil {
			t.Errorf("%+v: %v", test.request, err)
			continue
		}
		var reply document.Reply
		if err := json.Unmarshal(out.Bytes(), &reply); err != nil {
			t.Fatal(err)
		}
		if reply.Reason != test.reason || !strings.Contains(reply.Text, test.text) || test.text == "" && reply.Text != "" {
			t.Errorf("%+v: %+v", test.request, reply)
		}
	}
	if err := run(strings.NewReader(`{"size": 10}`+"\nshort"), new(bytes.Buffer)); err == nil {
		t.Error("half a document is read")
	}
}
