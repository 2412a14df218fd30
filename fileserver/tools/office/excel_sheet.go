package office

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// rowsPerPart and cellsPerPart are when a part of a sheet ends.
	rowsPerPart  = 500
	cellsPerPart = 100_000
	// bytesPerPart is the same, and maxRowBytes the most of one row.
	bytesPerPart = 4 << 20
	maxRowBytes  = 16 << 20
)

// errRead ends the reading of a sheet where nothing of the rest is wanted.
var errRead = errors.New("read")

// A page reads a sheet, or an area of it, and gives it out in parts.
type page struct {
	book   *workbook
	sheet  sheet
	extra  *extra
	wanted area
	whole  bool // the whole sheet is wanted

	rows    []sheetRow
	cells   int // in rows
	bytes   int // of their texts
	head    *sheetRow
	row     int // the number of the last row
	parts   int
	shared  map[string]sharedFormula
	columns mosaic // the fills of whole columns
	hidden  []string
}

// A sheetRow is a row with a value or a colour.
type sheetRow struct {
	number int
	hidden bool
	fill   string // of the whole row
	cells  []sheetCell
}

// A sheetCell is a cell with a value or a colour.
type sheetCell struct {
	column int
	text   string
	isText bool
	style  int
}

// read reads the sheet and gives out its parts.
func (p *page) read(data []byte) error {
	p.shared = make(map[string]sharedFormula)
	s := newScanner(data)
	err := s.each(func(string) error {
		return s.each(func(element string) error {
			switch element {
			case "cols":
				return s.each(func(string) error { p.column(s); return nil })
			case "sheetData":
				return s.each(func(string) error { return p.readRow(s) })
			}
			return nil
		})
	})
	if errors.Is(err, errRead) {
		err = nil
	}
	if err != nil && !errors.Is(err, document.ErrFormat) {
		return err
	}
	return errors.Join(p.give(true), err)
}

// column notes what a column says of itself.
func (p *page) column(s *scanner) {
	first, last := s.number("min", 0), min(s.number("max", 0), maxColumn)
	if first < 1 || last < first || len(p.hidden) > maxColumn {
		return
	}
	columns := area{1, first, maxRow, last}
	if s.flag("hidden", false) {
		p.hidden = append(p.hidden, columns.String())
	}
	if fill := at(p.book.styles, s.number("style", -1)).fill; fill != "" {
		p.columns.put(fill, columns)
	}
}

func (p *page) readRow(s *scanner) error {
	p.row = s.number("r", p.row+1)
	row := sheetRow{number: p.row, hidden: s.flag("hidden", false)}
	if p.row < p.wanted.row1 {
		return nil
	}
	if p.row > p.wanted.row2 {
		return errRead
	}
	if s.flag("customFormat", false) {
		row.fill = at(p.book.styles, s.number("s", -1)).fill
	}
	column, bytes := 0, p.bytes
	err := s.each(func(element string) error {
		if element != "c" {
			return nil
		}
		column++
		if name := s.attr("r"); name != "" {
			if named, _, ok := parseCell(name); ok && named > 0 {
				column = named
			}
		}
		if len(row.cells) >= maxColumn {
			return document.Damaged("row %d has more than %d cells", row.number, maxColumn)
		}
		cell, err := p.readCell(s, column)
		if cell.text != "" || p.coloured(cell) {
			row.cells = append(row.cells, cell)
			p.bytes += len(cell.text)
		}
		if p.bytes-bytes > maxRowBytes {
			return document.Damaged("row %d has more than %d MiB of text", row.number, maxRowBytes>>20)
		}
		return err
	})
	if len(row.cells) == 0 && row.fill == "" && !row.hidden {
		return err
	}
	p.rows = append(p.rows, row)
	p.cells += len(row.cells)
	if err == nil && (len(p.rows) >= rowsPerPart || p.cells >= cellsPerPart || p.bytes >= bytesPerPart) {
		err = p.give(false)
	}
	return err
}

func (p *page) coloured(cell sheetCell) bool {
	return at(p.book.styles, cell.style).fill != ""
}

// readCell reads a cell. One that is not wanted comes without a value.
func (p *page) readCell(s *scanner, column int) (sheetCell, error) {
	cell := sheetCell{column: column, style: -1}
	kind, style := s.attr("t"), s.number("s", 0)
	wanted := p.wanted.column1 <= column && column <= p.wanted.column2
	if wanted {
		cell.style = style
	}
	var value, formula string
	err := s.each(func(element string) error {
		var err error
		switch element {
		case "v":
			value, err = s.content()
		case "is":
			value, err = richText(s)
		case "f":
			formula, err = p.formula(s, column)
		}
		return err
	})
	if !wanted {
		return cell, err
	}
	cell.text, cell.isText = p.value(kind, value, style)
	if link := p.extra.links[place{p.row, column}]; link != "" {
		cell.text = linked(cell.text, link)
	}
	switch {
	case formula != "" && cell.text != "":
		cell.text += " (" + formula + ")"
	case formula != "":
		cell.text = formula
	}
	return cell, err
}

// value returns what a cell shows, and whether that is text.
func (p *page) value(kind, value string, style int) (string, bool) {
	switch kind {
	case "s":
		i, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil {
			return value, false
		}
		return at(p.book.strings, i), true
	case "inlineStr":
		return value, true
	case "str":
		return unescapeCell(value), true
	case "b":
		return map[string]string{"1": "TRUE", "0": "FALSE"}[value], false
	case "e", "d":
		return value, false
	}
	format := at(p.book.styles, style).format
	if format == nil && isShort(value) {
		return value, false
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return value, false
	}
	if format == nil {
		return plainNumber(number), false
	}
	return format.show(number, !p.whole), false
}

// isShort tells of a number that it is shown as it is written: 0, or few digits that begin and end with none.
func isShort(value string) bool {
	digits := strings.TrimPrefix(value, "-")
	if digits == "" || len(value) > 15 || digits[0] < '1' || digits[0] > '9' {
		return value == "0"
	}
	last := digits[len(digits)-1]
	return !strings.ContainsAny(digits, "Ee+ \t\r\n") && last != '.' && (last != '0' || !strings.Contains(digits, "."))
}
