package office

import (
	"cmp"
	"errors"
	"slices"
	"sort"
	"strings"
)

// A place is a cell.
type place struct{ row, column int }

// A remark is something said of an area.
type remark struct {
	area area
	text string
}

// An extra is what a sheet has beside its cells.
type extra struct {
	links            map[place]string
	merges, comments remarks // by row
	tables           []string
	drawn            []string // charts and pictures
}

// remarks are in the order of their rows when a sheet is read.
type remarks []remark

// add adds a remark, but on what is no area.
func (r remarks) add(ref, text string) remarks {
	found, err := parseArea(ref)
	if err != nil {
		return r
	}
	return append(r, remark{area: found, text: text})
}

// within returns the remarks on an area that begin in some of its rows.
func within(remarks remarks, wanted area, first, last int) []string {
	if first == wanted.row1 {
		first = 1
	}
	start := sort.Search(len(remarks), func(i int) bool { return remarks[i].area.row1 >= first })
	var texts []string
	for _, one := range remarks[start:] {
		if one.area.row1 > last {
			break
		}
		if one.area.meets(wanted) {
			texts = append(texts, one.text)
		}
	}
	return texts
}

// loadExtra reads what a sheet has beside its cells, much of which follows them in its file.
func (b *workbook) loadExtra(one sheet, data []byte) (*extra, error) {
	e := &extra{links: make(map[place]string)}
	related, err := b.files.relations(one.file)
	index := related.index()
	s := newScanner(tail(data))
	// The end of the sheet is an error here, and any before it is one of the sheet, too.
	_ = s.each(func(element string) error {
		switch element {
		case "mergeCells":
			return s.each(func(string) error {
				e.merges = e.merges.add(s.attr("ref"), s.attr("ref"))
				return nil
			})
		case "hyperlinks":
			return s.each(func(string) error {
				target := index[s.attr(":id")].target
				if found, err := parseArea(s.attr("ref")); err == nil && target != "" {
					e.links[place{found.row1, found.column1}] = target
				}
				return nil
			})
		}
		return nil
	})
	errs := []error{err}
	for _, r := range related {
		var err error
		switch r.kind {
		case "comments":
			err = b.comments(e, r.target)
		case "threadedComment":
			err = b.threads(e, r.target)
		case "table":
			err = b.table(e, r.target)
		case "drawing":
			e.drawn, err = b.files.drawing(r.target)
		}
		errs = append(errs, err)
	}
	byRow := func(a, b remark) int { return cmp.Compare(a.area.row1, b.area.row1) }
	slices.SortStableFunc(e.merges, byRow)
	slices.SortStableFunc(e.comments, byRow)
	return e, errors.Join(errs...)
}

// comments reads the notes on cells.
func (b *workbook) comments(e *extra, file string) error {
	var authors []string
	return b.files.each(file, func(s *scanner, _ string) error {
		return s.each(func(child string) error {
			switch child {
			case "author":
				author, err := s.content()
				authors = append(authors, author)
				return err
			case "comment":
				ref, author := s.attr("ref"), at(authors, s.number("authorId", -1))
				var text string
				err := s.each(func(string) error {
					var err error
					text, err = richText(s)
					return err
				})
				if !strings.HasPrefix(author, "tc=") { // it stands for one in a thread
					e.comments = e.comments.add(ref, comment(ref, author, text))
				}
				return err
			}
			return nil
		})
	})
}

// threads reads the comments of today, each of which may answer another.
func (b *workbook) threads(e *extra, file string) error {
	related, err := b.files.relations("xl/workbook.xml")
	if err != nil {
		return err
	}
	persons := make(map[string]string)
	err = b.files.each(related.first("person"), func(s *scanner, _ string) error {
		persons[s.attr("id")] = s.attr("displayName")
		return nil
	})
	return errors.Join(err, b.files.each(file, func(s *scanner, _ string) error {
		ref, author := s.attr("ref"), persons[s.attr("personId")]
		return s.each(func(element string) error {
			if element != "text" {
				return nil
			}
			text, err := s.content()
			e.comments = e.comments.add(ref, comment(ref, author, text))
			return err
		})
	}))
}

// comment returns a comment as one line.
func comment(ref, author, text string) string {
	text = strings.Join(strings.Fields(strings.TrimPrefix(strings.TrimSpace(text), author+":")), " ")
	if author != "" {
		ref += " (" + author + ")"
	}
	return ref + ": " + text
}

// table reads what a table of a sheet is called.
func (b *workbook) table(e *extra, file string) error {
	s, readErr := b.files.scan(file)
	err := s.each(func(string) error {
		e.tables = append(e.tables, cmp.Or(s.attr("displayName"), s.attr("name"))+" ("+s.attr("ref")+")")
		return nil
	})
	return fileError(file, errors.Join(readErr, err))
}
