package web_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/tools/web"
)

// archive returns a ZIP file of names and contents, one after the other.
func archive(tb testing.TB, files ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := f.Write([]byte(files[i+1])); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

const (
	containerXML = `<container><rootfiles><rootfile full-path="a/b.opf"/></rootfiles></container>`
	packageOPF   = `<package><metadata><title>T</title></metadata><manifest><item id="1" href="one.xhtml" media-type="application/xhtml+xml"/>` +
		`<item id="2" href="../t%20wo.xhtml"/></manifest><spine><itemref idref="1"/><itemref idref="x"/><itemref idref="2"/></spine></package>`
)

// TestDamaged gives out what can be read of damaged documents, and then says what is wrong.
func TestDamaged(t *testing.T) {
	t.Parallel()
	book := archive(t, "META-INF/container.xml", containerXML, "a/b.opf", packageOPF, "a/one.xhtml", "<p>first", "t wo.xhtml", "<p>third")
	locked := archive(t, "META-INF/container.xml", containerXML, "a/b.opf", packageOPF, "a/one.xhtml", "\x93\x22", "t wo.xhtml", "<p>third",
		"META-INF/encryption.xml", `<encryption><EncryptedData><CipherData><CipherReference URI="a/one.xhtml"/></CipherData></EncryptedData></encryption>`)
	for _, test := range []struct {
		name, file string
		data       []byte
		text, err  string
	}{
		{"a book whose spine names what is not there", ".epub", book, "third", "the manifest does not have"},
		{"a book with a locked chapter", ".epub", locked, "third", `"a/one.xhtml" is encrypted`},
		{"an archive without a container", ".epub", archive(t, "x", "y"), "", "META-INF/container.xml"},
		{"a container that names nothing", ".epub", archive(t, "META-INF/container.xml", "<container/>"), "", "names no package document"},
		{"half an archive", ".epub", book[:len(book)/2], "", "no ZIP archive"},
		{"RTF that ends early", ".rtf", []byte(`{\rtf1 so far {\b bold`), "so far **bold**", "ends within a group"},
		{"RTF whose groups do not end", ".rtf", []byte(`{\rtf1 so far ` + strings.Repeat("{", 5000)), "so far", "nested deeper"},
		{"no RTF", ".rtf", []byte("text"), "", "no RTF"},
		{"a notebook that is no JSON", ".ipynb", []byte(`{"cells":`), "", "no notebook"},
		{"another JSON document", ".ipynb", []byte(`{"a":1}`), "", "no notebook"},
		{"a notebook of odd values", ".ipynb", []byte(`{"nbformat":4,"metadata":{"title":7},"cells":[{"cell_type":"markdown","source":"kept"}]}`), "kept", ""},
		{"XML that ends early", ".xml", []byte("<a><b>text"), "b: text", "is not ended"},
		{"XML whose ends do not match", ".xml", []byte("<a><b>text</a></b>"), "b: text", "ended where it is not open"},
		{"XML that is nested deep", ".xml", []byte(strings.Repeat("<a>", 5000)), "(depth 999) a", "nested deeper"},
		{"XML of nothing", ".xml", nil, "", "no element"},
		{"no message", ".eml", []byte("\njust text"), "", "no message"},
		{"a message of parts without a boundary", ".eml", []byte("Subject: s\nContent-Type: multipart/mixed\n\nstill read"), "still read", ""},
		{"a message that ends early", ".eml", []byte("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nstill read"), "still read", ""},
		{"a message of damaged Base64", ".eml", []byte("A: b\nContent-Transfer-Encoding: base64\n\nc3Rp*bGwgcmVhZA=\n=x"), "still read", ""},
		{"a message of damaged quoted-printable", ".eml", []byte("A: b\nContent-Transfer-Encoding: quoted-printable\n\nstill =\nread =ZZ ="), "still read =ZZ", ""},
		{"a page that ends in a tag", ".html", []byte("<p>still read<a href='"), "still read", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reply := read(t, readers()[test.file], test.data, "")
			if !strings.Contains(reply.Text, test.text) {
				t.Errorf("the text is %.300q, want %q in it", reply.Text, test.text)
			}
			if (test.err == "") != (reply.Error == "") || !strings.Contains(reply.Error, test.err) {
				t.Errorf("the error is %q, want %q", reply.Error, test.err)
			}
		})
	}
}

// TestBombs bounds what a small archive becomes.
func TestBombs(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("\x00", 129<<20)
	bomb := archive(t, "META-INF/container.xml", containerXML, "a/b.opf", packageOPF, "a/one.xhtml", zeros, "t wo.xhtml", "<p>third")
	reply := read(t, web.EPUB, bomb, "")
	if !strings.Contains(reply.Error, "more than 128 MiB") || reply.Reason == document.ReasonDamaged {
		t.Errorf("the error is %q, reason %q", reply.Error, reply.Reason)
	}
}

// TestGrowth keeps the text in proportion to the document, whatever is nested and repeated in it. A reader
// whose time is not in proportion to it does not end.
func TestGrowth(t *testing.T) {
	t.Parallel()
	const n = 50_000
	mail := "Content-Type: multipart/mixed; boundary=b%[1]d\n\n--b%[1]d\n"
	var nested strings.Builder
	for i := range n {
		fmt.Fprintf(&nested, mail, i)
	}
	for _, test := range []struct{ name, file, data string }{
		{"elements", ".html", strings.Repeat("<div>", n)},
		{"quotations", ".html", strings.Repeat("<blockquote>", n) + strings.Repeat("<p>x", n)},
		{"lists", ".html", strings.Repeat("<ul><li>x", n)},
		{"ends of lists", ".html", strings.Repeat("<ul>", n) + strings.Repeat("</blockquote>", n)},
		{"tables", ".html", strings.Repeat("<table><tr><td>x", n)},
		{"ragged tables", ".html", "<table>" + strings.Repeat("<td>x", n) + strings.Repeat("<tr><td>x", n)},
		{"cells that span", ".html", "<table>" + strings.Repeat("<td rowspan=9999 colspan=9999>x", n) + strings.Repeat("<tr>", n)},
		{"links", ".html", "<a href=" + strings.Repeat("l", n) + ">" + strings.Repeat("<p>x", n)},
		{"styles", ".html", strings.Repeat("<b>x<i>y", n)},
		{"backticks", ".html", "<pre>" + strings.Repeat("`", n)},
		{"half tags", ".html", strings.Repeat("<a ", n)},
		{"groups", ".rtf", `{\rtf1` + strings.Repeat(`{\b x}`, n)},
		{"notes", ".rtf", `{\rtf1` + strings.Repeat(`{\footnote x`, n)},
		{"bytes that are left out", ".rtf", `{\rtf1` + strings.Repeat(`\bin99999999999 x`, n)},
		{"attributes", ".xml", "<a " + strings.Repeat(`b="" `, n) + "/>"},
		{"long names", ".xml", "<" + strings.Repeat("a", n) + ">" + strings.Repeat("<b/>", n)},
		{"parts", ".eml", "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\n", n)},
		{"nested parts", ".eml", nested.String()},
		{"a header", ".eml", "Subject: x\n" + strings.Repeat(" more\n", n)},
		{"headers", ".eml", strings.Repeat("A: b\n", n)},
		{"encoded words", ".eml", "Subject: " + strings.Repeat("=?utf-8?q?x?= ", n)},
		{"cells", ".ipynb", `{"nbformat":4,"cells":[{}` + strings.Repeat(",{}", n) + "]}"},
		{"escape sequences", ".ipynb", `{"nbformat":4,"cells":[{"cell_type":"code","outputs":[{"output_type":"stream","text":"` + strings.Repeat(`\u001b[`, n) + `"}]}]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reply := read(t, readers()[test.file], []byte(test.data), "")
			if limit := int64(40*len(test.data) + 10_000); reply.Total > limit {
				t.Errorf("%d bytes became %d, more than %d", len(test.data), reply.Total, limit)
			}
		})
	}
}

func FuzzHTML(f *testing.F)     { fuzz(f, ".html", web.HTML) }
func FuzzEPUB(f *testing.F)     { fuzz(f, ".epub", web.EPUB) }
func FuzzRTF(f *testing.F)      { fuzz(f, ".rtf", web.RTF) }
func FuzzMail(f *testing.F)     { fuzz(f, ".eml", web.Mail) }
func FuzzNotebook(f *testing.F) { fuzz(f, ".ipynb", web.Notebook) }
func FuzzXML(f *testing.F)      { fuzz(f, ".xml", web.XML) }

// fuzz gives a reader whatever comes, whole and selected, which must neither panic nor grow without bound.
func fuzz(f *testing.F, ending string, reader document.Reader) {
	f.Helper()
	files, err := filepath.Glob("testdata/*" + ending)
	if err != nil || len(files) == 0 {
		f.Fatalf("there are no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := read(t, reader, data, "")
		if second := read(t, reader, data, "2"); second.Total > whole.Total {
			t.Errorf("a part has %d bytes, the whole %d", second.Total, whole.Total)
		}
		if limit := int64(1000*len(data) + 100_000); ending != ".epub" && whole.Total > limit {
			t.Errorf("%d bytes became %d", len(data), whole.Total)
		}
	})
}
