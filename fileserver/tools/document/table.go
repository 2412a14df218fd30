package document

import "strings"

// Table returns rows as a Markdown table, whose first row is the head. Rows may be of different lengths.
func Table(rows [][]string) string {
	columns := 0
	for _, row := range rows {
		columns = max(columns, len(row))
	}
	if columns == 0 {
		return ""
	}
	var b strings.Builder
	for i, row := range rows {
		b.WriteByte('|')
		for column := range columns {
			b.WriteByte(' ')
			if column < len(row) {
				b.WriteString(Cell(row[column]))
			}
			b.WriteString(" |")
		}
		b.WriteByte('\n')
		if i == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", columns) + "\n")
		}
	}
	return b.String()
}

// cells replaces what would end a cell.
//
//nolint:gochecknoglobals // a constant
var cells = strings.NewReplacer("|", `\|`, "\r\n", " <br> ", "\n", " <br> ", "\r", " ", "\t", " ")

// Cell returns a text as it may stand in a table's cell.
func Cell(text string) string {
	text = strings.TrimSpace(text)
	if !strings.ContainsAny(text, "|\r\n\t") {
		return text
	}
	return cells.Replace(text)
}

// Code returns a block of code, which cannot end before its end.
func Code(language, text string) string {
	longest, now := 2, 0
	for i := range len(text) {
		if now++; text[i] != '`' {
			now = 0
		}
		longest = max(longest, now)
	}
	mark := strings.Repeat("`", longest+1)
	return mark + language + "\n" + strings.TrimRight(text, "\n") + "\n" + mark
}
