package office_test

import (
	"strings"
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/office"
)

const numbering = `<w:numbering><w:abstractNum w:abstractNumId="0">` +
	`<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1."/></w:lvl>` +
	`<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%2"/></w:lvl></w:abstractNum>` +
	`<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>` +
	`<w:num w:numId="2"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num></w:numbering>`

func TestWordText(t *testing.T) {
	item := func(id, level, text string) string {
		return `<w:p><w:pPr><w:numPr><w:ilvl w:val="` + level + `"/><w:numId w:val="` + id + `"/></w:numPr></w:pPr><w:r><w:t>` + text + `</w:t></w:r></w:p>`
	}
	for _, test := range []struct{ name, body, want string }{
		{
			"lists", item("1", "0", "a") + item("1", "1", "b") + item("1", "1", "c") + item("1", "0", "d") + item("1", "1", "e") + item("2", "0", "f"),
			"I. a\n   I.1 b\n   I.2 c\nII. d\n   II.1 e\nI. f",
		},
		{"an end that was deleted", `<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr><w:r><w:t>one </w:t></w:r><w:del><w:r><w:delText>x</w:delText></w:r></w:del></w:p><w:p><w:r><w:t>line</w:t></w:r></w:p>`, "one line"},
		{"moved", `<w:p><w:moveFrom><w:r><w:t>from</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t>to</w:t></w:r></w:moveTo></w:p>`, "to"},
		{"a deleted row", `<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc></w:tr><w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl>`, "| a |\n| --- |"},
		{
			"a field", `<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> HYPERLINK "https://example.org/a b" </w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>text</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r><w:r><w:t xml:space="preserve"> after</w:t></w:r></w:p>`,
			"[text](<https://example.org/a b>) after",
		},
		{
			"a box of text", `<w:p><w:r><w:t>around</w:t></w:r><w:r><mc:AlternateContent><mc:Choice><w:drawing><wps:wsp><wps:txbx><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></wps:txbx></wps:wsp></w:drawing></mc:Choice><mc:Fallback><w:pict><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>`,
			"around\n\nboxed",
		},
		{"hidden", `<w:p><w:r><w:t xml:space="preserve">seen </w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>unseen</w:t></w:r></w:p>`, "seen [hidden: unseen]"},
		{"marks and spaces", `<w:p><w:r><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">bold </w:t></w:r><w:r><w:rPr><w:b w:val="0"/><w:i/></w:rPr><w:t>slanted</w:t></w:r><w:r><w:rPr><w:strike/></w:rPr><w:t>gone</w:t></w:r></w:p>`, "**bold** *slanted*~~gone~~"},
		{"entities", `<!DOCTYPE x [<!ENTITY a "aaaa">]><w:p><w:r><w:t>&amp;lt; &#65;&#x42; &a; <![CDATA[<b>]]></w:t></w:r></w:p>`, "&lt; AB &a; <b>"},
		{
			"an endnote and a picture of old", `<w:p><w:r><w:endnoteReference w:id="3"/></w:r><w:r><w:pict><v:shape alt="A boat"><v:imagedata r:id="r9"/></v:shape></w:pict></w:r></w:p>`,
			"[^endnote-3]![A boat](word/media/b.png)\n\n[^endnote-3]: At sea.",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := pack(t, map[string]string{
				"word/document.xml":  `<w:document><w:body>` + test.body + `</w:body></w:document>`,
				"word/numbering.xml": numbering,
				"word/endnotes.xml":  `<w:endnotes><w:endnote w:id="3"><w:p><w:r><w:t>At sea.</w:t></w:r></w:p></w:endnote></w:endnotes>`,
				"word/_rels/document.xml.rels": `<Relationships><Relationship Id="r1" Type="t/numbering" Target="numbering.xml"/>` +
					`<Relationship Id="r2" Type="t/endnotes" Target="endnotes.xml"/><Relationship Id="r9" Type="t/image" Target="media/b.png"/></Relationships>`,
			})
			reply, err := read(t, office.Word, data, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(strings.TrimPrefix(reply.Text, "[section 1]")); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// A long document comes in parts, and so does a long table, each part of which has its head.
func TestLongDocuments(t *testing.T) {
	data := wordOf(t, strings.Repeat(`<w:p><w:r><w:t>line</w:t></w:r></w:p>`, 900)+
		`<w:tbl>`+strings.Repeat(`<w:tr><w:tc><w:p><w:r><w:t>cell</w:t></w:r></w:p></w:tc></w:tr>`, 1200)+`</w:tbl>`)
	reply, err := read(t, office.Word, data, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := locations(reply); got != "section 1 section 2 section 3 section 4 section 5" {
		t.Errorf("parts are %s", got)
	}
	if got := strings.Count(reply.Text, "line"); got != 900 {
		t.Errorf("%d lines", got)
	}
	if got := strings.Count(reply.Text, "cell"); got != 1200+2 { // two heads more
		t.Errorf("%d cells", got)
	}
}
