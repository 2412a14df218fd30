package data

import (
	"slices"
	"strconv"
	"strings"
)

// A sqliteColumn is a column of a table.
type sqliteColumn struct {
	name     string
	kind     string // the declared type, in upper case
	virtual  bool   // computed, and not in the rows
	fallback sqliteValue
}

// isReal tells that whole numbers of the column are floating-point numbers, stored short.
func (c sqliteColumn) isReal() bool {
	if strings.Contains(c.kind, "INT") || strings.Contains(c.kind, "CHAR") || strings.Contains(c.kind, "CLOB") || strings.Contains(c.kind, "TEXT") {
		return false
	}
	return strings.Contains(c.kind, "REAL") || strings.Contains(c.kind, "FLOA") || strings.Contains(c.kind, "DOUB") //nolint:misspell // a piece of "DOUBLE", as SQLite has it
}

// A sqliteTable is what the statement that made a table says.
type sqliteTable struct {
	columns      []sqliteColumn
	primary      []string // columns of the primary key, as they are written
	rowid        int      // the column that is the row's number, -1 for none
	withoutRowid bool
	order        []int // the columns as rows have them
}

// parseTable reads a CREATE TABLE statement, as far as rows need it.
func parseTable(statement string) *sqliteTable {
	t := &sqliteTable{rowid: -1}
	tokens := sqlTokens(statement)
	open := slices.Index(tokens, "(")
	if open < 0 {
		return t
	}
	definition, depth, end := []string(nil), 0, len(tokens)
	for i := open + 1; i < len(tokens); i++ {
		token := tokens[i]
		if depth == 0 && (token == "," || token == ")") {
			t.define(definition)
			definition = nil
			if token == ")" {
				end = i
				break
			}
			continue
		}
		switch token {
		case "(":
			depth++
		case ")":
			depth--
		}
		definition = append(definition, token)
	}
	t.withoutRowid = strings.Contains(strings.ToUpper(strings.Join(tokens[end:], " ")), "WITHOUT ROWID")
	t.settle()
	return t
}

// define takes the definition of a column, or a constraint of the table.
func (t *sqliteTable) define(tokens []string) {
	if len(tokens) == 0 {
		return
	}
	switch word := strings.ToUpper(tokens[0]); word {
	case "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN":
		t.constrain(tokens)
		return
	}
	column := sqliteColumn{name: unquoteSQL(tokens[0])}
	var kind []string
	inType, depth := true, 0
	for i, token := range tokens[1:] {
		word, rest := strings.ToUpper(token), tokens[i+2:]
		switch {
		case token == "(":
			depth++
		case token == ")":
			depth--
		case depth > 0:
		case word == "PRIMARY":
			inType = false
			t.primary = append(t.primary, column.name)
			if len(rest) > 1 && strings.EqualFold(rest[1], "DESC") {
				kind = append(kind, "DESC") // for SQLite, this one is not the row's number
			}
		case word == "DEFAULT":
			inType = false
			column.fallback = literal(rest)
		case word == "GENERATED", word == "AS":
			inType = false
			column.virtual = !slices.ContainsFunc(rest, func(t string) bool { return strings.EqualFold(t, "STORED") })
		case slices.Contains([]string{"CONSTRAINT", "NOT", "NULL", "UNIQUE", "CHECK", "COLLATE", "REFERENCES"}, word):
			inType = false
		case inType:
			kind = append(kind, word)
		}
	}
	column.kind = strings.Join(kind, " ")
	t.columns = append(t.columns, column)
}

// constrain takes the primary key out of a table's constraint.
func (t *sqliteTable) constrain(tokens []string) {
	at := slices.IndexFunc(tokens, func(t string) bool { return strings.EqualFold(t, "PRIMARY") })
	open := slices.Index(tokens, "(")
	if at < 0 || open < at {
		return
	}
	for i := open + 1; i < len(tokens); i++ {
		if before := tokens[i-1]; before == "(" || before == "," {
			t.primary = append(t.primary, unquoteSQL(tokens[i]))
		}
	}
}

// settle finds the order of the columns in rows, and the one that is the row's number.
func (t *sqliteTable) settle() {
	index := make(map[string]int, len(t.columns))
	for i, column := range t.columns {
		index[strings.ToLower(column.name)] = i
	}
	taken := make([]bool, len(t.columns))
	if t.withoutRowid { // the primary key comes first
		for _, name := range t.primary {
			if i, ok := index[strings.ToLower(name)]; ok && !taken[i] {
				taken[i] = true
				t.order = append(t.order, i)
			}
		}
	}
	for i, column := range t.columns {
		if !taken[i] && !column.virtual {
			t.order = append(t.order, i)
		}
	}
	if len(t.primary) == 1 && !t.withoutRowid {
		if i, ok := index[strings.ToLower(t.primary[0])]; ok && t.columns[i].kind == "INTEGER" {
			t.rowid = i
		}
	}
}

// literal returns the value that a DEFAULT is, nil for one that is computed.
func literal(tokens []string) sqliteValue {
	sign := ""
	if len(tokens) > 1 && (tokens[0] == "-" || tokens[0] == "+") {
		sign, tokens = tokens[0], tokens[1:]
	}
	if len(tokens) == 0 || strings.EqualFold(tokens[0], "NULL") || tokens[0] == "(" {
		return nil
	}
	if whole, err := strconv.ParseInt(sign+tokens[0], 10, 64); err == nil {
		return whole
	}
	if number, err := strconv.ParseFloat(sign+tokens[0], 64); err == nil {
		return number
	}
	return unquoteSQL(tokens[0])
}
