package pdf

import (
	"math"
	"slices"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// minColumns and minRows are what makes a table: two columns may be prose.
	minColumns, minRows = 2, 3
	// maxColumns bounds a table; a line of more cells is no row.
	maxColumns = 64
)

// A column is where the cells of a table stand above each other.
type column struct{ left, right float64 }

// tableAt returns the lines at the beginning of lines that are rows of one table, none where there is no table.
func tableAt(lines []*line, effort *int) []*line {
	columns := columnsOf(lines, effort)
	if len(columns) < minColumns {
		return nil
	}
	rows := 0
	for rows < len(lines) && isRow(lines[rows], columns) && (rows == 0 || follows(lines[rows-1], lines[rows])) {
		if *effort -= len(lines[rows].cells); *effort < 0 {
			return nil
		}
		rows++
	}
	full := 0
	for _, l := range lines[:rows] {
		if len(l.cells) >= minColumns {
			full++
		}
	}
	for rows > 0 && len(lines[rows-1].cells) < minColumns { // what follows a table is not of it
		rows--
	}
	if full < minRows {
		return nil
	}
	return lines[:rows]
}

// columnsOf returns the columns that the first line and those below it have, from left to right, as far as
// the effort lasts.
func columnsOf(lines []*line, effort *int) []column {
	if len(lines) == 0 || len(lines[0].cells) < minColumns || len(lines[0].cells) > maxColumns {
		return nil
	}
	var columns []column
	for i, l := range lines {
		if i >= 200 || i > 0 && !follows(lines[i-1], l) {
			break
		}
		if *effort -= len(l.cells); *effort < 0 || len(l.cells) > maxColumns {
			break
		}
		if len(l.cells) < minColumns {
			continue
		}
		next := slices.Clone(columns)
		for _, c := range l.cells {
			next = widen(next, column{c.left, c.right})
		}
		if len(columns) > 0 && len(next) < len(columns) || len(next) > maxColumns {
			break // it bridges columns, so it is a line of something else
		}
		columns = next
	}
	return columns
}

// widen adds a cell to the columns that it overlaps, which become one, or as a column of its own.
func widen(columns []column, c column) []column {
	var out []column
	for _, old := range columns {
		if old.left <= c.right && c.left <= old.right {
			c = column{min(c.left, old.left), max(c.right, old.right)}
			continue
		}
		out = append(out, old)
	}
	out = append(out, c)
	slices.SortFunc(out, func(a, b column) int { return int(math.Copysign(1, a.left-b.left)) })
	return out
}

// isRow tells whether each cell of a line stands in a column of its own.
func isRow(l *line, columns []column) bool {
	last := -1
	for _, c := range l.cells {
		at := columnOf(c, columns)
		if at <= last {
			return false
		}
		last = at
	}
	return true
}

// columnOf returns the index of the column in which a cell stands, -1 for none.
func columnOf(c *cell, columns []column) int {
	return slices.IndexFunc(columns, func(col column) bool { return c.left >= col.left-1 && c.right <= col.right+1 })
}

// follows tells whether a line stands right below another.
func follows(before, l *line) bool {
	down := before.baseline - l.baseline
	return down > 0 && down < 4*max(before.height, l.height)
}

// writeTable writes rows as Markdown. A line with one cell goes on with the row above it.
func writeTable(rows []*line) string {
	effort := maxEffort
	columns := columnsOf(rows, &effort)
	var table [][]strings.Builder
	for i, l := range rows {
		if i == 0 || len(l.cells) > 1 || l.cells[0].left <= columns[0].right {
			table = append(table, make([]strings.Builder, len(columns)))
		}
		row := table[len(table)-1]
		for _, c := range l.cells {
			at := columnOf(c, columns)
			if at < 0 {
				continue
			}
			if row[at].Len() > 0 {
				row[at].WriteByte(' ')
			}
			row[at].WriteString(c.text.String())
		}
	}
	texts := make([][]string, len(table))
	for i, row := range table {
		texts[i] = make([]string, len(row))
		for at := range row {
			texts[i][at] = row[at].String()
		}
	}
	return document.Table(texts)
}
