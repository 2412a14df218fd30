package web_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/web"
)

// TestEncodings reads texts of the encodings that documents declare, and of others than they declare.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, data, text, encoding string }{
		{"windows-1251 by meta", "a.html", "<meta charset='windows-1251'><p>\xcc\xe8\xf0", "Мир", "windows-1251"},
		{"Shift JIS by http-equiv", "a.html", `<meta http-equiv=Content-Type content="text/html; charset=Shift_JIS"><p>` + "\x92\xaa", "潮", "shift_jis"},
		{"latin1 is Windows-1252", "a.html", "<meta charset=latin1><p>\x80 \xe9", "€ é", "windows-1252"},
		{"UTF-8 whatever is declared", "a.html", "<meta charset=iso-8859-1><p>é", "é", "utf-8"},
		{"UTF-16 by its mark", "a.html", "\xff\xfe<\x00p\x00>\x00\xe9\x00", "é", "utf-16le"},
		{"UTF-16 that is not", "a.html", "<meta charset=utf-16><p>plain", "plain", "utf-8"},
		{"nothing declared", "a.html", "<p>caf\xe9", "café", "windows-1252"},
		{"an encoding that nobody knows", "a.html", "<meta charset=nonsense><p>caf\xe9", "café", "windows-1252"},
		{"XML by its declaration", "a.xml", "<?xml version='1.0' encoding='ISO-8859-2'?><a>\xb9</a>", "a: š", "iso-8859-2"},
		{"XML without one", "a.xml", "<a>š</a>", "a: š", "utf-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reply := read(t, readers()[filepath.Ext(test.file)], []byte(test.data), "")
			if !strings.Contains(reply.Text, test.text) || reply.Properties["encoding"] != test.encoding || reply.Error != "" {
				t.Errorf("it is %q in %s (error %q), want %q in %s", reply.Text, reply.Properties["encoding"], reply.Error, test.text, test.encoding)
			}
		})
	}
}

// TestSections splits a long page at its headings, and a long table with its head in each part.
func TestSections(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<p>"+strings.Repeat("words ", 100), 30)
	page := "<title>All</title>before<h1>One</h1>" + long + "<h3>Low</h3>x<h2>Two</h2>" + long + "<blockquote><h2>No</h2></blockquote>"
	reply := read(t, web.HTML, []byte(page), "")
	if got := locations(reply); got != "section 1, section 2, section 3" {
		t.Errorf("the page is in %q", got)
	}
	if one := read(t, web.HTML, []byte(page), "two"); len(one.Parts) != 1 || one.Parts[0].Location != "section 3" {
		t.Errorf("the section with the title is %+v", one.Parts)
	}
	var rows strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&rows, "<tr><td>row %d<td>v", i)
	}
	table := read(t, web.HTML, []byte("<table><tr><th>Head<th>Value"+rows.String()+"</table>"), "")
	if heads, all := strings.Count(table.Text, "| Head | Value |"), strings.Count(table.Text, "| row "); heads != 3 || all != 1200 {
		t.Errorf("the table of 1,200 rows has %d heads and %d rows", heads, all)
	}
}
