package office

import (
	"errors"
	"strconv"
	"strings"
)

// The size of a sheet.
const (
	maxColumn = 16_384
	maxRow    = 1_048_576
)

// errArea is the error for what is no area of a sheet.
var errArea = errors.New("no area of a sheet: write it like B2, A1:D20, B:D or 3:9")

// An area is a rectangle of cells, counted from 1.
type area struct{ row1, column1, row2, column2 int }

// parseArea reads an area. Nothing is the whole sheet.
func parseArea(text string) (area, error) {
	text = strings.ReplaceAll(strings.TrimSpace(text), "$", "")
	if text == "" {
		return area{1, 1, maxRow, maxColumn}, nil
	}
	first, last, isRange := strings.Cut(text, ":")
	column1, row1, ok1 := parseCell(first)
	column2, row2, ok2 := column1, row1, ok1
	if isRange {
		column2, row2, ok2 = parseCell(last)
	}
	if !ok1 || !ok2 || (column1 == 0) != (column2 == 0) || (row1 == 0) != (row2 == 0) || (!isRange && (row1 == 0 || column1 == 0)) {
		return area{}, errArea
	}
	if row1 == 0 {
		row1, row2 = 1, maxRow
	}
	if column1 == 0 {
		column1, column2 = 1, maxColumn
	}
	return area{min(row1, row2), min(column1, column2), max(row1, row2), max(column1, column2)}, nil
}

// parseCell reads "B12", "B" and "12". What is not written is 0.
func parseCell(text string) (column, row int, ok bool) {
	i := 0
	for ; i < len(text) && i < 4; i++ {
		letter := text[i] &^ 0x20
		if letter < 'A' || letter > 'Z' {
			break
		}
		column = column*26 + int(letter-'A') + 1
	}
	if i < len(text) {
		n, err := strconv.ParseUint(text[i:], 10, 32)
		if err != nil || n == 0 || n > maxRow {
			return 0, 0, false
		}
		row = int(n)
	}
	return column, row, text != "" && column <= maxColumn
}

// columnName returns a column's letters.
func columnName(column int) string {
	var letters []byte
	for ; column > 0; column = (column - 1) / 26 {
		letters = append([]byte{byte('A' + (column-1)%26)}, letters...)
	}
	return string(letters)
}

func cellName(column, row int) string { return columnName(column) + strconv.Itoa(row) }

// String returns "B2", "A1:D20", "B:D" or "3:9".
func (a area) String() string {
	switch {
	case a.row1 == 1 && a.row2 == maxRow:
		return columnName(a.column1) + ":" + columnName(a.column2)
	case a.column1 == 1 && a.column2 == maxColumn:
		return strconv.Itoa(a.row1) + ":" + strconv.Itoa(a.row2)
	}
	first, last := cellName(a.column1, a.row1), cellName(a.column2, a.row2)
	if first == last {
		return first
	}
	return first + ":" + last
}

// meets tells whether two areas have a cell in common.
func (a area) meets(b area) bool {
	return a.row1 <= b.row2 && b.row1 <= a.row2 && a.column1 <= b.column2 && b.column1 <= a.column2
}

// A mosaic joins cells that are alike to rectangles. Cells come row by row, from the left.
type mosaic struct {
	kinds []string // in their order
	areas map[string][]area
	open  map[stripe]int // where rectangles of the last rows are in areas
	run   area
	kind  string
}

// A stripe is the columns that a rectangle of a kind has.
type stripe struct {
	kind             string
	column1, column2 int
}

// add adds a cell of a kind.
func (m *mosaic) add(kind string, column, row int) {
	if m.kind == kind && m.run.row1 == row && m.run.column2 == column-1 {
		m.run.column2 = column
		return
	}
	m.put(kind, area{row, column, row, column})
}

// put adds an area of a kind.
func (m *mosaic) put(kind string, one area) {
	m.flush()
	m.kind, m.run = kind, one
}

// flush ends the cells of a row that stand together.
func (m *mosaic) flush() {
	if m.kind == "" {
		return
	}
	if m.areas == nil {
		m.areas, m.open = make(map[string][]area), make(map[stripe]int)
	}
	key := stripe{m.kind, m.run.column1, m.run.column2}
	areas := m.areas[m.kind]
	if at, ok := m.open[key]; ok && areas[at].row2 == m.run.row1-1 {
		areas[at].row2 = m.run.row2
	} else {
		if areas == nil {
			m.kinds = append(m.kinds, m.kind)
		}
		m.areas[m.kind] = append(areas, m.run)
		m.open[key] = len(areas)
	}
	m.kind = ""
}

// lines returns a line for each kind.
func (m *mosaic) lines() []string {
	m.flush()
	made := make([]string, 0, len(m.kinds))
	for _, kind := range m.kinds {
		names := make([]string, 0, len(m.areas[kind]))
		for _, one := range m.areas[kind] {
			names = append(names, one.String())
		}
		made = append(made, kind+": "+strings.Join(names, ", "))
	}
	return made
}
