package office

import (
	"slices"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// give gives out the rows that were read.
func (p *page) give(last bool) error {
	part := p.part(last)
	p.rows, p.cells, p.bytes = nil, 0, 0
	if part.Text == "" {
		return nil
	}
	p.parts++
	return p.book.out.Add(part)
}

// part makes a part of the rows.
func (p *page) part(last bool) document.Part {
	bounds := area{row1: p.wanted.row1, row2: p.wanted.row2}
	if p.parts > 0 && len(p.rows) > 0 {
		bounds.row1 = p.rows[0].number
	}
	if !last {
		bounds.row2 = p.row
	}
	var text []string
	if p.parts == 0 {
		text = p.about()
	}
	used := p.used()
	if len(used) > 0 {
		text = append(text, strings.TrimSpace(p.table(used)))
	} else if last && p.parts == 0 {
		text = append(text, "No cell has a value.")
	}
	text = append(text, p.notes(bounds.row1, bounds.row2)...)
	if last && p.whole {
		text = append(text, p.extra.drawn...)
	}
	if len(text) == 0 {
		return document.Part{}
	}
	return document.Part{Location: p.location(), Title: p.title(), Text: strings.Join(text, "\n\n")}
}

func (p *page) title() string {
	switch p.sheet.state {
	case "hidden", "veryHidden":
		return p.sheet.name + " (hidden sheet)"
	default:
		return p.sheet.name
	}
}

// location returns the area of the rows, of all that has a value or a colour.
func (p *page) location() string {
	bounds := area{row1: maxRow + 1, column1: maxColumn + 1}
	for _, row := range p.rows {
		for _, cell := range row.cells {
			bounds.row1, bounds.row2 = min(bounds.row1, row.number), max(bounds.row2, row.number)
			bounds.column1, bounds.column2 = min(bounds.column1, cell.column), max(bounds.column2, cell.column)
		}
	}
	name := p.sheet.name
	if strings.ContainsAny(name, " '!-") {
		name = "'" + name + "'"
	}
	switch {
	case bounds.row2 > 0:
		return name + "!" + bounds.String()
	case !p.whole:
		return name + "!" + p.wanted.String()
	default:
		return name
	}
}

// used returns the columns that have a value.
func (p *page) used() []int {
	seen := make(map[int]bool)
	var used []int
	for _, row := range p.rows {
		for _, cell := range row.cells {
			if cell.text != "" && !seen[cell.column] {
				seen[cell.column] = true
				used = append(used, cell.column)
			}
		}
	}
	slices.Sort(used)
	return used
}
