package web

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

const (
	// maxFonts bounds the font table, and the style sheet.
	maxFonts = 10_000
	// maxCollected bounds what one property, or a field's instruction, has, in bytes.
	maxCollected = 4096
)

// destination takes a group's first word, and tells whether it says where the group's text goes. One that is
// unknown and may be ignored is.
func (r *rtfReader) destination(word string, special bool) bool {
	if r.group.to == ignored && word != "ud" {
		return true
	}
	var to destination
	switch word {
	case "fonttbl":
		to = fontTable
	case "title", "author", "subject", "keywords", "company", "manager", "category", "doccomm":
		to, r.group.property = property, word
	case "fldinst":
		to = instruction
	case "listtext", "pntext":
		to = marker
	case "fldrslt":
		r.beginField()
		return true
	case "footnote", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf", "annotation":
		r.beginAside(word)
		return true
	case "pict":
		r.write(" (picture) ")
		to = ignored
	case "stylesheet":
		to = styleSheet
	case "info":
		return true // its groups are properties
	case "colortbl", "creatim", "revtim", "printim", "buptim", "operator", "upr", "nonshppict", "objdata",
		"nonesttables", "xe", "tc", "txe", "rxe", "bkmkstart", "bkmkend", "filetbl", "revtbl", "ftnsep", "ftnsepc", "ftncn",
		"aftnsep", "aftnsepc", "aftncn", "pntxta", "pntxtb", "template", "vern", "hlinkbase", "private", "nesttableprops",
		"sp", "shprslt":
		to = ignored
	case "shppict", "shptxt", "shpinst", "shp", "ud":
		return false
	default:
		if !special {
			return false
		}
		to = ignored
	}
	if to == property || to == instruction || to == marker {
		r.collected.Reset()
	}
	r.group.to = to
	return true
}

// endGroup ends the group, and takes what was collected in it.
func (r *rtfReader) endGroup() {
	ended := r.group
	last := len(r.groups) - 1
	if last < 0 {
		return
	}
	r.group = r.groups[last]
	r.groups = r.groups[:last]
	text := strings.TrimSpace(r.collected.String())
	switch {
	case ended.to == r.group.to && ended.aside == nil && !ended.link:
	case ended.aside != nil:
		r.endAside(ended)
	case ended.link:
		r.run.endLink()
	case ended.to == property:
		r.out.Property(propertyName(ended.property), text)
	case ended.to == marker && text != "":
		r.marker = listMark(text)
	}
}

// propertyName returns what a property is called in other formats.
func propertyName(word string) string {
	if word == "doccomm" {
		return "comment"
	}
	return word
}

// listMark returns an item's mark: the number as it is, and a hyphen for whatever bullet.
func listMark(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' && len(text) > 1 }) {
		return text
	}
	return "-"
}

// beginField begins the text of a field, which is a link if the instruction says so.
func (r *rtfReader) beginField() {
	instruction := r.collected.String()
	r.collected.Reset()
	name, address, _ := strings.Cut(strings.TrimSpace(instruction), " ")
	if !strings.EqualFold(name, "HYPERLINK") || r.group.to != body {
		return
	}
	address = strings.TrimSpace(address)
	if inside, found := strings.CutPrefix(address, `"`); found {
		address, _, _ = strings.Cut(inside, `"`)
	}
	if address != "" && !strings.HasPrefix(address, `\`) {
		r.place()
		r.startLink(address)
		r.group.link = true
	}
}

// noteMark returns what marks the note that is being read, or in the text the next one.
func (r *rtfReader) noteMark() string {
	if r.inNote {
		return fmt.Sprintf("[^%d]", r.numbered)
	}
	return fmt.Sprintf("[^%d]", r.numbered+1)
}

// beginAside begins a note, whose text stands apart from the text that it is in.
func (r *rtfReader) beginAside(word string) {
	if r.group.to != body {
		r.group.to = ignored
		return
	}
	if word == "footnote" {
		if mark := r.noteMark(); !bytes.HasSuffix(r.run.text, []byte(mark)) {
			r.run.atom(mark)
		}
		r.numbered++
	}
	r.group.property, r.group.aside, r.group.style = word, &aside{r.converter, r.paragraph, r.inNote}, 0
	r.converter, r.paragraph, r.inNote = &converter{flow: &flow{}}, paragraph{}, true
}

// endAside ends a note.
func (r *rtfReader) endAside(ended group) {
	r.endParagraph()
	r.endTable()
	r.endSection("")
	text, mark := r.page.text(), r.noteMark()
	r.converter, r.paragraph, r.inNote = ended.aside.converter, ended.aside.paragraph, ended.aside.inNote
	if text == "" {
		return
	}
	label := "(" + ended.property + ") "
	if ended.property == "footnote" {
		label = mark + ": "
	}
	r.notes = append(r.notes, label+strings.TrimSpace(strings.TrimPrefix(text, mark)))
}

// numberedPage returns the encoding of a Windows or DOS code page, empty if it is not known.
func numberedPage(number int) string {
	switch {
	case number == 932:
		return "shift_jis"
	case number == 936:
		return "gbk"
	case number == 949:
		return "euc-kr"
	case number == 950:
		return "big5"
	case number == 874, 1250 <= number && number <= 1258:
		return fmt.Sprintf("windows-%d", number)
	case number == 10000:
		return "macintosh"
	case number == 65001:
		return "utf-8"
	case number == 437 || number == 850 || number == 852 || number == 866:
		return fmt.Sprint(number)
	}
	return ""
}

// charsetPage returns the encoding of a font's character set, empty for the document's.
func charsetPage(charset int) string {
	pages := map[int]int{
		0: 1252, 77: 10000, 128: 932, 129: 949, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255, 178: 1256,
		186: 1257, 204: 1251, 222: 874, 238: 1250, 254: 437, 255: 850,
	}
	return numberedPage(pages[charset])
}

// decodePage decodes a text of a code page.
func decodePage(data []byte, page string) string {
	if !bytes.ContainsFunc(data, beyondASCII) {
		return string(data)
	}
	var dos *charmap.Charmap
	switch page {
	case "437":
		dos = charmap.CodePage437
	case "850":
		dos = charmap.CodePage850
	case "852":
		dos = charmap.CodePage852
	case "866":
		dos = charmap.CodePage866
	default:
		return decodeLabel(data, page)
	}
	var b strings.Builder
	for _, c := range data {
		b.WriteRune(dos.DecodeByte(c))
	}
	return b.String()
}
