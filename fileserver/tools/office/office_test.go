package office_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/tools/office"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	os.Exit(m.Run())
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// readerOf returns the reader of a document by the ending of its name.
func readerOf(name string) document.Reader {
	return map[string]document.Reader{".docx": office.Word, ".xlsx": office.Excel, ".pptx": office.PowerPoint}[filepath.Ext(name)]
}

// read reads a document as the program does.
func read(tb testing.TB, reader document.Reader, data []byte, parts string) (document.Reply, error) {
	tb.Helper()
	selection, err := document.ParseSelection(parts)
	if err != nil {
		tb.Fatal(err)
	}
	out := document.NewOutput(document.Request{Limit: 1 << 20})
	readErr := reader(&document.Input{Data: data, Parts: selection}, out)
	var written bytes.Buffer
	if err := out.Write(&written, "test", readErr); err != nil {
		tb.Fatal(err)
	}
	var reply document.Reply
	if err := json.Unmarshal(written.Bytes(), &reply); err != nil {
		tb.Fatal(err)
	}
	return reply, readErr
}

func load(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// golden compares a text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if updating() {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
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

func TestDocuments(t *testing.T) {
	for name, parts := range map[string]string{
		"report.docx": "", "notes.docx": "", "slides.pptx": "", "talk.pptx": "", "formulas.xlsx": "",
		"sales.xlsx": "1,2,Empty,Long!A1099:B1101",
	} {
		t.Run(name, func(t *testing.T) {
			reply, err := read(t, readerOf(name), load(t, name), parts)
			if err != nil {
				t.Fatal(err)
			}
			var head strings.Builder
			for _, key := range slices.Sorted(maps.Keys(reply.Properties)) {
				if key != "modified" {
					fmt.Fprintf(&head, "%s: %s\n", key, reply.Properties[key])
				}
			}
			golden(t, name+".md", head.String()+"\n"+reply.Text)
		})
	}
}

func locations(reply document.Reply) string {
	var all []string
	for _, part := range reply.Parts {
		all = append(all, part.Location)
	}
	return strings.Join(all, " ")
}

func TestSelections(t *testing.T) {
	for _, test := range []struct{ file, parts, locations, has, hasNot string }{
		{"report.docx", "2", "section 2", "Unload", "storms"},
		{"report.docx", "Storms", "section 3", "Winter", "Unload"},
		{"report.docx", "headers and footers", "headers and footers", "Internal use", "Winter"},
		{"slides.pptx", "2", "slide 2", "131", "Harbour"},
		{"slides.pptx", "findings", "slide 3", "Then pause", "131"},
		{"slides.pptx", "4-", "slide 4", "hidden", "131"},
		{"sales.xlsx", "2", "'Secret plans'!B2:E9", "30:05", "Item"},
		{"sales.xlsx", "Sales!B2:D3", "Sales!B2:D3", "25% [0.2468]", "Item 3"},
		{"sales.xlsx", "sales!$D$4", "Sales!D4", "#FF0000: D4", "B1"},
		{"sales.xlsx", "Sales!C:C", "Sales!C1:C7", "$6,172.50", "Item"},
		{"sales.xlsx", "Sales!3:4", "Sales!A3:F4", "Item 3", "Item 4"},
		{"sales.xlsx", "Sales!A1:B1,Sales!A9", "Sales!A1:B1 Sales!A9", "merged", "Item 1"},
		{"sales.xlsx", "'Secret plans'!E7", "'Secret plans'!E7", "(5)", "1.2M"},
		{"sales.xlsx", "Sales!X50:Z60", "Sales!X50:Z60", "No cell has a value.", "Item"},
		{"sales.xlsx", "Long", "Long!A1:B500 Long!A501:B1000 Long!A1001:B1101", "| 1101 | 1100 | 1210000 |", "Item"},
	} {
		t.Run(test.file+" "+test.parts, func(t *testing.T) {
			reply, err := read(t, readerOf(test.file), load(t, test.file), test.parts)
			if err != nil {
				t.Fatal(err)
			}
			if got := locations(reply); got != test.locations {
				t.Errorf("locations are %q, want %q", got, test.locations)
			}
			if !strings.Contains(reply.Text, test.has) || strings.Contains(reply.Text, test.hasNot) {
				t.Errorf("it should have %q and not %q:\n%s", test.has, test.hasNot, reply.Text)
			}
		})
	}
	if _, err := read(t, office.Excel, load(t, "sales.xlsx"), "Sales!1A"); err == nil || errors.Is(err, document.ErrFormat) {
		t.Errorf("an area that is none: %v", err)
	}
}

func TestThreads(t *testing.T) {
	reply, err := read(t, office.Excel, pack(t, map[string]string{
		"xl/workbook.xml":            `<workbook><sheets><sheet name="S" r:id="r1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="r1" Type="t/worksheet" Target="s.xml"/><Relationship Id="r2" Type="t/person" Target="/xl/p.xml"/></Relationships>`,
		"xl/s.xml":                   `<x:worksheet><x:sheetData/></x:worksheet>`,
		"xl/_rels/s.xml.rels":        `<Relationships><Relationship Id="r1" Type="t/threadedComment" Target="c.xml"/></Relationships>`,
		"xl/p.xml":                   `<personList><person displayName="Ada" id="{1}"/><person displayName="Bo" id="{2}"/></personList>`,
		"xl/c.xml":                   `<ThreadedComments><threadedComment ref="B2" personId="{1}"><text>Why?</text></threadedComment><threadedComment ref="B2" personId="{2}"><text>Since &lt;so&gt;.</text></threadedComment></ThreadedComments>`,
	}), "")
	if want := "[S] S\n\nNo cell has a value.\n\nComments:\n- B2 (Ada): Why?\n- B2 (Bo): Since <so>.\n\n"; err != nil || reply.Text != want {
		t.Errorf("got %q, %v", reply.Text, err)
	}
}

// Numbers without a format are shown as Excel shows them, however they are written.
func TestPlainNumbers(t *testing.T) {
	for written, want := range map[string]string{
		"0": "0", "-4.0": "-4", "007": "7", "-0": "0", ".5": "0.5", "12": "12", "-1.25": "-1.25", "100": "100", "5.": "5",
		"1E3": "1000", "0.30000000000000004": "0.3", "123456789012345678": "123456789012346000", "x": "x",
	} {
		reply, err := read(t, office.Excel, pack(t, map[string]string{
			"xl/workbook.xml":            `<workbook><sheets><sheet name="S" r:id="r1"/></sheets></workbook>`,
			"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="r1" Type="t/worksheet" Target="s.xml"/></Relationships>`,
			"xl/s.xml":                   `<worksheet><sheetData><row><c><v>` + written + `</v></c></row></sheetData></worksheet>`,
		}), "")
		if err != nil || !strings.Contains(reply.Text, "| 1 | "+want+" |") {
			t.Errorf("%s should be %s: %v\n%s", written, want, err, reply.Text)
		}
	}
}

// A later part of a sheet begins with the sheet's head.
func TestHeadIsRepeated(t *testing.T) {
	reply, err := read(t, office.Excel, load(t, "sales.xlsx"), "Long")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(reply.Text, "| 1 | Number | Square |"); got != 3 {
		t.Errorf("the head is there %d times, want 3", got)
	}
}

// pack makes an archive of files, by their names.
func pack(tb testing.TB, files map[string]string) []byte {
	tb.Helper()
	var made bytes.Buffer
	to := zip.NewWriter(&made)
	method := zip.Store // which is fast
	for _, text := range files {
		if len(text) > 1<<20 {
			method = zip.Deflate
		}
	}
	for name, text := range files {
		file, err := to.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := file.Write([]byte(text)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		tb.Fatal(err)
	}
	return made.Bytes()
}

func wordOf(tb testing.TB, body string) []byte {
	tb.Helper()
	return pack(tb, map[string]string{"word/document.xml": `<w:document xmlns:w="w"><w:body>` + body + `</w:body></w:document>`})
}

func TestDamaged(t *testing.T) {
	deep := strings.Repeat("<w:tbl><w:tr><w:tc>", 400)
	whole := load(t, "report.docx")
	for _, test := range []struct {
		name   string
		reader document.Reader
		data   []byte
		has    string // what could be read of it
	}{
		{"no archive", office.Word, []byte("hello"), ""},
		{"cut archive", office.Word, whole[:len(whole)/2], ""},
		{"another format", office.Excel, whole, ""},
		{"cut XML", office.Word, wordOf(t, "<w:p><w:r><w:t>first</w:t></w:r></w:p><w:p><w:r><w:t>sec"), "first"},
		{"crossed tags", office.Word, wordOf(t, "<w:p><w:r><w:t>first</w:t></w:r></w:p><w:p></w:r></w:p>"), "first"},
		{"deep", office.Word, wordOf(t, "<w:p><w:r><w:t>first</w:t></w:r></w:p>"+deep), "first"},
		{"bomb", office.Word, wordOf(t, "<w:p><w:r><w:t>"+strings.Repeat(" ", 129<<20)), ""},
		{"one text", office.Word, wordOf(t, "<w:p><w:r><w:t>"+strings.Repeat(" ", 17<<20)+"</w:t></w:r></w:p>"), ""},
		{"columns", office.Word, wordOf(t, "<w:tbl><w:tr>"+strings.Repeat(`<w:tc><w:tcPr><w:gridSpan w:val="2000000000"/></w:tcPr></w:tc>`, 9)), ""},
		{"missing sheet", office.Excel, pack(t, map[string]string{
			"xl/workbook.xml": `<workbook><sheets><sheet name="S" r:id="rId1"/></sheets></workbook>`,
		}), "No cell has a value."},
		{"damaged styles", office.Excel, pack(t, map[string]string{
			"xl/workbook.xml":            `<workbook><sheets><sheet name="S" r:id="r1"/></sheets></workbook>`,
			"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="r1" Type="t/worksheet" Target="s.xml"/><Relationship Id="r2" Type="t/styles" Target="t.xml"/></Relationships>`,
			"xl/s.xml":                   `<worksheet><sheetData><row><c><v>12</v></c></row></sheetData></worksheet>`,
			"xl/t.xml":                   `<styleSheet><fonts>`,
		}), "| 1 | 12 |"},
		{"no sheets", office.Excel, pack(t, map[string]string{"xl/workbook.xml": `<workbook><sheets/></workbook>`}), ""},
		{"missing slide", office.PowerPoint, pack(t, map[string]string{
			"ppt/presentation.xml": `<p:presentation><p:sldIdLst><p:sldId id="256" r:id="rId1"/></p:sldIdLst></p:presentation>`,
		}), "missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply, err := read(t, test.reader, test.data, "")
			if !errors.Is(err, document.ErrFormat) {
				t.Errorf("got %v, want a damaged document", err)
			}
			if !strings.Contains(reply.Text, test.has) {
				t.Errorf("it should have %q:\n%s", test.has, reply.Text)
			}
		})
	}
}

// An archive of many files that are each small enough is bounded in sum.
func TestBombOfManyFiles(t *testing.T) {
	files := map[string]string{"ppt/presentation.xml": "", "ppt/_rels/presentation.xml.rels": ""}
	var ids, relations strings.Builder
	for i := range 5 {
		fmt.Fprintf(&ids, `<p:sldId r:id="rId%d"/>`, i)
		fmt.Fprintf(&relations, `<Relationship Id="rId%d" Target="slide%d.xml" Type="slide"/>`, i, i)
		files[fmt.Sprintf("ppt/slide%d.xml", i)] = `<p:sld>` + strings.Repeat(" ", 60<<20) + `</p:sld>`
	}
	files["ppt/presentation.xml"] = `<p:presentation><p:sldIdLst>` + ids.String() + `</p:sldIdLst></p:presentation>`
	files["ppt/_rels/presentation.xml.rels"] = `<Relationships>` + relations.String() + `</Relationships>`
	reply, err := read(t, office.PowerPoint, pack(t, files), "")
	if !errors.Is(err, document.ErrFormat) || !strings.Contains(reply.Error, "256 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestOldFormats(t *testing.T) {
	for entry, want := range map[string]string{
		"W\x00o\x00r\x00d\x00D\x00o\x00c\x00u\x00m\x00e\x00n\x00t\x00": ".doc)",
		"W\x00o\x00r\x00k\x00b\x00o\x00o\x00k\x00":                     ".xls)",
		"": "old binary format",
		"E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00": "password",
	} {
		_, err := read(t, office.Word, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"+entry), "")
		if err == nil || errors.Is(err, document.ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// unpack returns the files of a document.
func unpack(tb testing.TB, data []byte) map[string]string {
	tb.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		tb.Fatal(err)
	}
	files := make(map[string]string)
	for _, file := range archive.File {
		from, err := file.Open()
		if err != nil {
			tb.Fatal(err)
		}
		var text bytes.Buffer
		if _, err := text.ReadFrom(from); err != nil {
			tb.Fatal(err)
		}
		files[file.Name] = text.String()
	}
	return files
}

// fuzz changes one file of a document, and not the archive, whose checksums would hide all else. Large files,
// which are of no more kinds than small ones, are left as they are.
func fuzz(f *testing.F, reader document.Reader, seed string) {
	f.Helper()
	whole := unpack(f, load(f, seed))
	var names []string
	for name, text := range whole {
		switch {
		case path.Ext(name) != ".xml" && path.Ext(name) != ".rels", len(text) > 1<<15:
			delete(whole, name)
		case len(text) < 1<<13:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		f.Add(uint8(i), whole[name])
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		files := maps.Clone(whole)
		files[names[int(which)%len(names)]] = text
		if _, err := read(t, reader, pack(t, files), ""); err != nil && !errors.Is(err, document.ErrFormat) {
			t.Error(err)
		}
	})
}

func FuzzWord(f *testing.F)       { fuzz(f, office.Word, "report.docx") }
func FuzzExcel(f *testing.F)      { fuzz(f, office.Excel, "sales.xlsx") }
func FuzzPowerPoint(f *testing.F) { fuzz(f, office.PowerPoint, "slides.pptx") }
