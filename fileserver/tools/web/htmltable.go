package web

import (
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxRows is how many rows of a table stand in one block; a longer one has its head again in each.
	maxRows = 500
	// maxSpan bounds over how many columns and rows a cell spans.
	maxSpan = 200
	// maxColumns bounds in which columns cells are put aside for those that span from above.
	maxColumns = 250
	// maxLaidOut is from which size on a cell of a table of few rows is a part of a page, in bytes.
	maxLaidOut = 1500
	// maxRagged is how many cells a table of few may be widened by to be even.
	maxRagged = 2000
)

// A htmlTable is a table whose cells are being read.
type htmlTable struct {
	rows   [][]string
	row    []string
	spans  []int // by column: how many rows it is still taken by a cell above
	cell   *flow // nil between cells
	column int   // how many columns the cell takes
	down   int   // how many rows below it takes
	made   int   // cells that were made for others that span
	real   int   // cells that were there
	plain  bool  // it says of itself that it is not one of data
}

// beginRow ends the row before.
func (t *htmlTable) beginRow() {
	t.endCell()
	if len(t.row) > 0 {
		t.fill()
		t.rows = append(t.rows, t.row)
		t.row = nil
	}
}

// beginCell ends the cell before.
func (t *htmlTable) beginCell(columns, rows int) {
	t.endCell()
	t.fill()
	t.real++
	t.cell, t.column, t.down = &flow{}, min(max(columns, 1), maxSpan), min(max(rows, 1), maxSpan)-1
}

// fill puts an empty cell where one above reaches down.
func (t *htmlTable) fill() {
	for len(t.row) < len(t.spans) && t.spans[len(t.row)] > 0 {
		t.spans[len(t.row)]--
		t.empty()
	}
}

// empty adds an empty cell, as long as they do not outgrow those that are there.
func (t *htmlTable) empty() {
	if t.made++; t.made <= 4*t.real+maxColumns {
		t.row = append(t.row, "")
	}
}

// endCell puts the cell's text into the row.
func (t *htmlTable) endCell() {
	if t.cell == nil {
		return
	}
	at := len(t.row)
	t.row = append(t.row, t.cell.text.String())
	t.cell = nil
	for range t.column - 1 {
		t.empty()
	}
	for column := at; t.down > 0 && column < min(len(t.row), maxColumns); column++ {
		for len(t.spans) <= column {
			t.spans = append(t.spans, 0)
		}
		t.spans[column] = t.down
	}
}

// blocks returns the table as blocks of Markdown: tables, or the cells' texts where it was but laid out as one.
func (t *htmlTable) blocks() []string {
	t.beginRow()
	columns, cells, longest := 0, 0, 0
	for _, row := range t.rows {
		columns = max(columns, len(row))
		cells += len(row)
		for _, cell := range row {
			longest = max(longest, len(cell))
		}
	}
	switch {
	case columns <= 1, t.plain, longest > maxLaidOut && len(t.rows) < 4, columns*len(t.rows) > 8*cells+maxRagged:
		return t.texts()
	}
	for _, row := range t.rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(cell, "\n\n", "\n")
		}
	}
	head, rest := t.rows[0], t.rows[1:]
	var blocks []string
	for {
		part := rest[:min(len(rest), maxRows)]
		rest = rest[len(part):]
		blocks = append(blocks, document.Table(append([][]string{head}, part...)))
		if len(rest) == 0 {
			return blocks
		}
	}
}

// texts returns what the cells have.
func (t *htmlTable) texts() []string {
	var blocks []string
	for _, row := range t.rows {
		for _, cell := range row {
			if cell != "" {
				blocks = append(blocks, cell)
			}
		}
	}
	return blocks
}
