package office

import (
	"strings"
)

// A flow is text that flows: the body, a cell, a note, a header.
type flow struct {
	word    *word
	related map[string]relation
	isBody  bool // it is given out by sections
	isCell  bool // of a table

	made   strings.Builder
	lines  int      // paragraphs and rows since the last section
	inList bool     // the last paragraph is an item of a list
	marks  []string // of notes that it refers to
	noted  map[string]bool
	carry  *line // of a paragraph whose end was deleted
	fields []field
}

// flow returns an empty flow.
func (w *word) flow(related relations, isBody bool) *flow {
	return &flow{word: w, related: related.index(), isBody: isBody}
}

func (f *flow) empty() bool { return f.made.Len() == 0 }

func (f *flow) clear() {
	f.made.Reset()
	f.lines, f.inList, f.marks, f.noted = 0, false, nil, nil
}

func (f *flow) text() string { return f.made.String() }

// read reads the paragraphs and tables of the element that is open.
func (f *flow) read(s *scanner) error {
	return s.each(func(element string) error { return f.block(s, element) })
}

// block reads a paragraph, a table, or what holds some.
func (f *flow) block(s *scanner, element string) error {
	switch element {
	case "p":
		return f.paragraph(s)
	case "tbl":
		return f.table(s)
	case "ins", "moveTo":
		f.word.inserted++
		return f.read(s)
	case "sdt", "sdtContent", "customXml", "smartTag", "AlternateContent", "Choice":
		return f.read(s)
	case "oMathPara":
		text, err := equation(s)
		f.write(text, false)
		return err
	default:
		return nil
	}
}

// write adds a block of text.
func (f *flow) write(text string, item bool) {
	if text == "" {
		return
	}
	switch {
	case f.made.Len() == 0:
	case item && f.inList:
		f.made.WriteString("\n")
	default:
		f.made.WriteString("\n\n")
	}
	f.made.WriteString(strings.Trim(text, "\n"))
	f.inList = item
	f.lines++
}

// note adds the mark of a note.
func (f *flow) note(mark string) {
	if f.noted[mark] {
		return
	}
	if f.noted == nil {
		f.noted = make(map[string]bool)
	}
	f.noted[mark] = true
	f.marks = append(f.marks, mark)
}

// take takes the marks of a flow within this one.
func (f *flow) take(inner *flow) {
	for _, mark := range inner.marks {
		f.note(mark)
	}
}

// within returns a flow within this one.
func (f *flow) within() *flow { return &flow{word: f.word, related: f.related} }
