package office

import (
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// A part is shown as a list of cells where a table of it would be mostly empty.
	sparseArea  = 2_000
	sparseShare = 20
)

// table returns the rows as a table, whose head are the letters of the columns and whose first column are
// the numbers of the rows. A later part of a sheet begins with the sheet's first row again, where that is a
// head: all text.
func (p *page) table(used []int) string {
	rows := p.rows
	if p.parts == 0 {
		p.keepHead()
	} else if p.head != nil {
		rows = append([]sheetRow{*p.head}, rows...)
	}
	if size := len(rows) * len(used); size > sparseArea && size > sparseShare*p.cells {
		return p.list()
	}
	head := make([]string, 0, len(used)+1)
	place := make(map[int]int, len(used))
	head = append(head, "")
	for i, column := range used {
		head = append(head, columnName(column))
		place[column] = i + 1
	}
	made := [][]string{head}
	for _, row := range rows {
		line := make([]string, len(head))
		line[0] = strconv.Itoa(row.number)
		valued := false
		for _, cell := range row.cells {
			if i, ok := place[cell.column]; ok && cell.text != "" {
				line[i] = cell.text
				valued = true
			}
		}
		if valued {
			made = append(made, line)
		}
	}
	return document.Table(made)
}

// keepHead keeps the first row with a value, for the parts that follow.
func (p *page) keepHead() {
	if !p.whole {
		return
	}
	for i := range p.rows {
		texts := 0
		for _, cell := range p.rows[i].cells {
			if cell.text != "" && !cell.isText {
				return
			}
			if cell.text != "" {
				texts++
			}
		}
		if texts > 0 {
			if texts > 1 {
				p.head = &p.rows[i]
			}
			return
		}
	}
}

// list returns the cells one by one.
func (p *page) list() string {
	var made strings.Builder
	for _, row := range p.rows {
		for _, cell := range row.cells {
			if cell.text != "" {
				made.WriteString("- " + cellName(cell.column, row.number) + ": " + document.Cell(cell.text) + "\n")
			}
		}
	}
	return made.String()
}

// about returns what is said of a sheet before its cells.
func (p *page) about() []string {
	var made []string
	if strings.HasSuffix(p.sheet.state, "idden") {
		made = append(made, "This sheet is hidden.")
	}
	if len(p.hidden) > 0 {
		made = append(made, "Hidden columns: "+strings.Join(p.hidden, ", "))
	}
	if lines := p.columns.lines(); len(lines) > 0 {
		made = append(made, "Colours of whole columns: "+strings.Join(lines, "; "))
	}
	if len(p.extra.tables) > 0 && p.whole {
		made = append(made, "Tables: "+strings.Join(p.extra.tables, "; "))
	}
	return made
}

// notes returns what is said of rows after their cells.
func (p *page) notes(first, last int) []string {
	var fills, texts, hidden mosaic
	for _, row := range p.rows {
		if row.hidden {
			hidden.put("rows", area{row.number, 1, row.number, maxColumn})
		}
		if row.fill != "" {
			fills.put(row.fill, area{row.number, 1, row.number, maxColumn})
		}
		for _, cell := range row.cells {
			style := at(p.book.styles, cell.style)
			if style.fill != "" {
				fills.add(style.fill, cell.column, row.number)
			}
			if style.colour != "" && cell.text != "" {
				texts.add(style.colour, cell.column, row.number)
			}
		}
	}
	var made []string
	if lines := fills.lines(); len(lines) > 0 {
		made = append(made, "Colours: "+strings.Join(lines, "; "))
	}
	if lines := texts.lines(); len(lines) > 0 {
		made = append(made, "Text colours: "+strings.Join(lines, "; "))
	}
	if lines := hidden.lines(); len(lines) > 0 {
		made = append(made, "Hidden "+lines[0])
	}
	if merged := within(p.extra.merges, p.wanted, first, last); len(merged) > 0 {
		made = append(made, "Merged cells: "+strings.Join(merged, ", "))
	}
	if comments := within(p.extra.comments, p.wanted, first, last); len(comments) > 0 {
		made = append(made, "Comments:\n- "+strings.Join(comments, "\n- "))
	}
	return made
}
