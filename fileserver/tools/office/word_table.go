package office

import (
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxRows are the rows of a table after which a section ends.
const maxRows = 500

// table reads a table. A cell over several columns is followed by empty ones, and cells that go on from the
// row above are empty. A table in a cell is its rows, whose cells are parted by a bar.
func (f *flow) table(s *scanner) error {
	var rows [][]string
	given := false
	var visit func(element string) error
	visit = func(element string) error {
		switch element {
		case "tr":
			row, err := f.row(s)
			if row != nil {
				rows = append(rows, row)
			}
			if err != nil || !f.isBody || len(rows) <= maxRows {
				return err
			}
			f.write(document.Table(rows), false)
			rows, given = rows[:1], true
			return f.word.give(f)
		case "sdt", "sdtContent", "customXml", "ins", "moveTo":
			return s.each(visit)
		default:
			return nil
		}
	}
	err := s.each(visit)
	if len(rows) == 0 || (given && len(rows) == 1) {
		return err
	}
	f.write(f.tableText(rows), false)
	f.lines += len(rows)
	return err
}

// tableText returns a table, or its rows as lines within a cell.
func (f *flow) tableText(rows [][]string) string {
	if !f.isCell {
		return document.Table(rows)
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		lines = append(lines, strings.Join(row, " | "))
	}
	return strings.Join(lines, "\n")
}

// row reads a row, nothing for one that was deleted.
func (f *flow) row(s *scanner) ([]string, error) {
	row := []string{}
	deleted := false
	var visit func(element string) error
	visit = func(element string) error {
		switch element {
		case "trPr":
			return s.each(func(element string) error {
				switch element {
				case "del":
					deleted = true
				case "gridBefore":
					row = append(row, make([]string, min(max(s.number("val", 0), 0), maxColumns))...)
				}
				return nil
			})
		case "tc":
			text, span, err := f.cell(s)
			if len(row)+span > maxColumns {
				return document.Damaged("a table has more than %d columns", maxColumns)
			}
			row = append(append(row, text), make([]string, span-1)...)
			return err
		case "sdt", "sdtContent", "customXml":
			return s.each(visit)
		default:
			return nil
		}
	}
	err := s.each(visit)
	if deleted {
		f.word.deleted++
		return nil, err
	}
	return row, err
}

// cell reads a cell, and over how many columns it goes.
func (f *flow) cell(s *scanner) (string, int, error) {
	inner, span, goesOn := f.within(), 1, false
	inner.isCell = true
	err := s.each(func(element string) error {
		if element != "tcPr" {
			return inner.block(s, element)
		}
		return s.each(func(element string) error {
			switch element {
			case "gridSpan":
				span = min(max(s.number("val", 1), 1), maxColumns)
			case "vMerge":
				goesOn = s.attr("val") != "restart"
			}
			return nil
		})
	})
	f.take(inner)
	if goesOn {
		return "", span, err
	}
	return strings.ReplaceAll(inner.text(), "\n\n", "\n"), span, err
}
