package web

import (
	"fmt"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxGroups bounds how deep groups are nested.
const maxGroups = 2000

// A destination is where the text of a group goes.
type destination uint8

const (
	body        destination = iota
	ignored                 // nowhere
	fontTable               // it names fonts
	property                // it is a property of the document
	styleSheet              // it names styles
	instruction             // it tells what a field is
	marker                  // it is what a list's item begins with
)

// A group is the state that ends with a group's brace.
type group struct {
	to       destination
	style    style
	hidden   bool
	fallback int    // characters after \u that stand for it where it is not known (\uc)
	codePage string // of the group's font
	property string
	link     bool // the group is the text of a field with a link
	aside    *aside
}

// A paragraph is what is known of the one that is being read.
type paragraph struct {
	marker  string // that it begins with as an item of a list
	level   int    // in its list
	rank    int    // as a heading, zero for none
	inRow   bool   // a table's row has begun
	inTable bool   // it is in a table
}

// An aside is what is read on when a note in it has ended.
type aside struct {
	converter *converter
	paragraph paragraph
	inNote    bool
}

// A rtfReader makes Markdown of an RTF document's tokens.
type rtfReader struct {
	*converter // of the text, or of a note in it
	paragraph
	tokens    rtfTokens
	out       *document.Output
	group     group
	groups    []group
	codePage  string          // of the document
	fonts     map[int]string  // their code pages
	font      int             // that the font table is about
	ranks     map[int]int     // of styles as headings
	sheet     int             // the style that the style sheet is about
	bytes     []byte          // text that is not decoded yet
	skip      int             // characters to leave out after \u
	high      rune            // the first half of a surrogate pair
	special   bool            // \* was read: an unknown destination is to be ignored
	begun     bool            // the group has just begun
	collected strings.Builder // of a property, an instruction or a marker
	notes     []string        // footnotes, headers and footers
	inNote    bool            // the text is a note's
	numbered  int             // footnotes among them
}

// RTF reads a document of the Rich Text Format, as its specification 1.9.1 describes it, as Markdown.
func RTF(in *document.Input, out *document.Output) error {
	if !strings.HasPrefix(string(in.Data[:min(len(in.Data), 5)]), `{\rtf`) {
		return document.Damaged(`no RTF: it does not begin with "{\rtf"`)
	}
	r := &rtfReader{
		converter: &converter{flow: &flow{}}, tokens: rtfTokens{data: in.Data}, out: out,
		codePage: "windows-1252", fonts: make(map[int]string), ranks: make(map[int]int), group: group{fallback: 1},
	}
	r.group.codePage = r.codePage
	err := r.read()
	r.finish()
	sections := r.page.joined(maxShort)
	out.Property("sections", fmt.Sprint(len(sections)))
	for i, section := range sections {
		location := fmt.Sprintf("section %d", i+1)
		if !in.Parts.Wants(i+1, section.title) && !in.Parts.Wants(i+1, location) {
			continue
		}
		if err := out.Add(document.Part{Location: location, Title: section.title, Text: section.text}); err != nil {
			return err
		}
	}
	return err
}

// read reads the document to its end.
func (r *rtfReader) read() error {
	for {
		token, ok := r.tokens.next()
		if !ok {
			return document.Damaged("the document ends within a group")
		}
		begun := r.begun
		r.begun = false
		switch token.kind {
		case rtfBegin:
			if len(r.groups) >= maxGroups {
				return document.Damaged("groups are nested deeper than %d", maxGroups)
			}
			r.settle()
			r.skip, r.begun = 0, true
			r.groups = append(r.groups, r.group)
			r.group.link, r.group.aside = false, nil
		case rtfEnd:
			r.settle()
			r.skip = 0
			r.endGroup()
			if len(r.groups) == 0 {
				return nil
			}
		case rtfText:
			r.text(token.text)
		case rtfByte:
			r.text([]byte{byte(token.number)})
		case rtfWord:
			r.word(token, begun || r.special)
		}
	}
}

// finish ends what is open, and puts the notes below the text.
func (r *rtfReader) finish() {
	r.settle()
	for len(r.groups) > 0 {
		r.endGroup()
	}
	r.endParagraph()
	r.endTable()
	for _, note := range r.notes {
		r.block(note)
	}
	r.endSection("")
}

// text takes bytes of text, but for those that stand for a character before them.
func (r *rtfReader) text(data []byte) {
	skipped := min(r.skip, len(data))
	r.skip -= skipped
	if data = data[skipped:]; len(data) > 0 && r.group.to != ignored {
		r.bytes = append(r.bytes, data...)
	}
}

// settle decodes the bytes that were read, before what changes their meaning.
func (r *rtfReader) settle() {
	if len(r.bytes) == 0 {
		return
	}
	text := decodePage(r.bytes, r.group.codePage)
	r.bytes = r.bytes[:0]
	r.write(text)
}

// write puts text where the group's goes.
func (r *rtfReader) write(text string) {
	r.high = 0
	switch r.group.to {
	case body:
		if !r.group.hidden {
			r.place()
			r.run.write(text, r.styleNow())
		}
	case property, instruction, marker:
		if r.collected.Len() < maxCollected {
			r.collected.WriteString(text)
		}
	case ignored, fontTable, styleSheet:
	}
}

// styleNow returns that of the text that comes.
func (r *rtfReader) styleNow() style {
	if r.rank > 0 {
		return 0
	}
	return r.group.style
}

// place begins or ends the table before text of a paragraph.
func (r *rtfReader) place() {
	switch {
	case !r.inTable:
		r.endTable()
	case r.table == nil:
		r.table = &htmlTable{}
		fallthrough
	case r.table.cell == nil:
		r.table.beginCell(1, 1)
	}
}

// endParagraph ends a paragraph.
func (r *rtfReader) endParagraph() {
	text := r.run.end()
	mark := r.marker
	r.marker = ""
	switch {
	case text == "":
	case r.rank > 0 && r.current() == r.flow:
		text = strings.Join(strings.Fields(text), " ")
		if r.rank <= 2 {
			r.endSection(text)
		}
		r.block(strings.Repeat("#", r.rank) + " " + text)
	case mark != "":
		r.current().push(container{kind: list, used: true})
		r.current().push(container{kind: item, marker: strings.Repeat("  ", min(r.level, maxIndent)) + mark + " "})
		r.block(text)
		r.current().pop(list)
		r.current().inItem = true
	default:
		r.block(literal(text))
	}
}
