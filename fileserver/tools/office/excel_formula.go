package office

import (
	"strings"
)

// maxMoved bounds the formulas that are written out, moved, for each cell that shares them, in bytes.
const maxMoved = 1_000

// A sharedFormula is one that a range of cells has, moved to each.
type sharedFormula struct {
	text        string
	row, column int
}

// formula returns the formula of the element that is open, with its sign: "=A1+B1", "{=SUM(A1:A3)}".
func (p *page) formula(s *scanner, column int) (string, error) {
	kind, id := s.attr("t"), s.attr("si")
	text, err := s.content()
	if text == "" && kind == "shared" {
		from := p.shared[id]
		if len(from.text) > maxMoved {
			return "as in " + cellName(from.column, from.row) + ", moved", err
		}
		text = moved(from.text, p.row-from.row, column-from.column)
	} else if kind == "shared" && id != "" {
		p.shared[id] = sharedFormula{text: text, row: p.row, column: column}
	}
	switch {
	case text == "":
		return "", err
	case kind == "array":
		return "{=" + text + "}", err
	default:
		return "=" + text, err
	}
}

// moved returns a formula as it is some rows and columns further: references move but where a $ holds them.
func moved(formula string, rows, columns int) string {
	var made strings.Builder
	for i := 0; i < len(formula); {
		c := formula[i]
		end := i + 1
		switch {
		case c == '"' || c == '\'':
			if closing := strings.IndexByte(formula[i+1:], c); closing >= 0 {
				end = i + closing + 2
			}
			made.WriteString(formula[i:end])
		case isWord(c):
			for end < len(formula) && isWord(formula[end]) {
				end++
			}
			word := formula[i:end]
			if end == len(formula) || (formula[end] != '(' && formula[end] != '!' && formula[end] != '[') {
				word = movedReference(word, rows, columns)
			}
			made.WriteString(word)
		default:
			made.WriteByte(c)
		}
		i = end
	}
	return made.String()
}

func isWord(c byte) bool {
	return c == '$' || c == '_' || c == '.' || c == '\\' || c >= 0x80 ||
		(c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
}

// movedReference moves a word that is a cell, as "$A1".
func movedReference(word string, rows, columns int) string {
	letters := strings.TrimPrefix(word, "$")
	fixedColumn := letters != word
	end := 0
	for end < len(letters) && letters[end]&^0x20 >= 'A' && letters[end]&^0x20 <= 'Z' {
		end++
	}
	digits := strings.TrimPrefix(letters[end:], "$")
	fixedRow := digits != letters[end:]
	column, row, ok := parseCell(letters[:end] + digits)
	if !ok || column == 0 || row == 0 || end == 0 || end > 3 {
		return word
	}
	var made strings.Builder
	if fixedColumn {
		made.WriteByte('$')
	} else {
		column += columns
	}
	if !fixedRow {
		row += rows
	}
	if column < 1 || row < 1 || column > maxColumn || row > maxRow {
		return "#REF!"
	}
	made.WriteString(columnName(column))
	if fixedRow {
		made.WriteByte('$')
	}
	made.WriteString(cellName(0, row))
	return made.String()
}
