package office

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	wordMain = "word/document.xml"
	// linesPerSection are the paragraphs and rows of tables after which a part ends.
	linesPerSection = 400
	// headersName is the location of what stands on each page.
	headersName = "headers and footers"
)

// Word reads a text document. Its parts are called "section 3" and begin at each heading of the first level,
// which is their title, and after some 400 paragraphs; a part of its own at the end holds the headers and
// footers. Changes that were tracked are shown as accepted. Footnotes, endnotes and comments stand at the
// end of the section that refers to them; pictures are the names of their files in the document.
func Word(in *document.Input, out *document.Output) error {
	files, err := open(in, wordMain)
	if err != nil {
		return err
	}
	files.properties(out)
	w := &word{files: files, in: in, out: out, notes: make(map[string]string)}
	damage := []error{w.load()}
	s, err := files.scan(wordMain)
	damage = append(damage, err)
	body := w.flow(w.related, true)
	err = s.each(func(string) error {
		return s.each(func(element string) error {
			if element != "body" {
				return nil
			}
			return body.read(s)
		})
	})
	switch {
	case errors.Is(err, errRead):
		return errors.Join(damage...)
	case err != nil && !errors.Is(err, document.ErrFormat):
		return err
	}
	damage = append(damage, fileError(wordMain, err))
	if err := w.give(body); err != nil && !errors.Is(err, errRead) {
		return err
	}
	w.count()
	return errors.Join(append(damage, w.headers())...)
}

// A word reads a text document.
type word struct {
	files   *archive
	in      *document.Input
	out     *document.Output
	related relations

	styles   wordStyles
	notes    map[string]string // by their mark: footnotes, endnotes, comments
	section  int               // the number of the part that is being read
	title    string            // its heading
	inserted int               // changes that were tracked
	deleted  int
}

// load reads what the text refers to.
func (w *word) load() error {
	var err error
	if w.related, err = w.files.relations(wordMain); err != nil {
		return err
	}
	w.section = 1
	return errors.Join(
		w.styles.load(w.files, w.related.first("styles"), w.related.first("numbering")),
		w.loadNotes(w.related.first("footnotes"), "footnote"),
		w.loadNotes(w.related.first("endnotes"), "endnote"),
		w.loadNotes(w.related.first("comments"), "comment"),
	)
}

// loadNotes reads footnotes, endnotes or comments.
func (w *word) loadNotes(file, kind string) error {
	related, err := w.files.relations(file)
	return errors.Join(err, w.files.each(file, func(s *scanner, element string) error {
		mark := noteMark(kind, s.attr("id"))
		switch s.attr("type") {
		case "separator", "continuationSeparator", "continuationNotice":
			return nil
		}
		by := ""
		if author := s.attr("author"); element == "comment" && author != "" {
			day, _, _ := strings.Cut(s.attr("date"), "T")
			by = strings.TrimSpace(author+" "+day) + ": "
		}
		note := w.flow(related, false)
		err := note.read(s)
		w.notes[mark] = by + strings.Join(strings.Fields(note.text()), " ")
		return err
	}))
}

// noteMark is the mark of a note: "[^1]", "[^endnote-1]".
func noteMark(kind, id string) string {
	if kind == "footnote" {
		return "[^" + id + "]"
	}
	return "[^" + kind + "-" + id + "]"
}

// heading ends a section before a heading of the first level.
func (w *word) heading(f *flow, title string) error {
	if err := w.give(f); err != nil {
		return err
	}
	w.title = title
	return nil
}

// give gives out the section that was read.
func (w *word) give(f *flow) error {
	if f.empty() {
		return nil
	}
	if w.in.Parts.Wants(w.section, w.title) {
		part := document.Part{Location: "section " + strconv.Itoa(w.section), Title: w.title, Text: f.text() + w.noted(f)}
		if err := w.out.Add(part); err != nil {
			return err
		}
	}
	f.clear()
	w.section++
	if last := w.in.Parts.Last(); last > 0 && w.section > last {
		return errRead
	}
	return nil
}

// noted returns the notes that a section refers to.
func (w *word) noted(f *flow) string {
	var made strings.Builder
	for _, mark := range f.marks {
		if note, ok := w.notes[mark]; ok {
			made.WriteString("\n" + mark + ": " + note)
		}
	}
	if made.Len() == 0 {
		return ""
	}
	return "\n" + made.String()
}

// count notes what was counted.
func (w *word) count() {
	w.out.Property("sections", strconv.Itoa(w.section-1))
	if w.inserted+w.deleted > 0 {
		w.out.Property("tracked changes", strconv.Itoa(w.inserted)+" insertions, "+strconv.Itoa(w.deleted)+" deletions, shown as accepted")
	}
}

// headers gives out what stands on each page, each text once.
func (w *word) headers() error {
	if !w.in.Parts.Wants(w.section, headersName) {
		return nil
	}
	var lines []string
	var damage []error
	seen := make(map[string]bool)
	for _, r := range w.related {
		if r.kind != "header" && r.kind != "footer" {
			continue
		}
		related, err := w.files.relations(r.target)
		damage = append(damage, err)
		s, err := w.files.scan(r.target)
		damage = append(damage, err)
		f := w.flow(related, false)
		err = s.each(func(string) error { return f.read(s) })
		damage = append(damage, fileError(r.target, err))
		text := strings.TrimSpace(f.text())
		if text == "" || seen[r.kind+text] {
			continue
		}
		seen[r.kind+text] = true
		lines = append(lines, map[string]string{"header": "Header: ", "footer": "Footer: "}[r.kind]+text)
	}
	if len(lines) > 0 {
		if err := w.out.Add(document.Part{Location: headersName, Text: strings.Join(lines, "\n\n")}); err != nil {
			return err
		}
	}
	return errors.Join(damage...)
}
