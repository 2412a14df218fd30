package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// A sqliteEntry is an entry of a database's schema.
type sqliteEntry struct {
	kind, name, table, statement string
	root                         int
}

// SQLite reads a database: what it is made of, and then the rows of its tables. Long blobs are shown by
// their first bytes. What a write-ahead log beside the file holds is not seen.
func SQLite(in *document.Input, out *document.Output) error {
	file, err := openSQLite(in.Data)
	if err != nil {
		return err
	}
	file.describe(out)
	entries, damage := file.schema()
	counts := make(map[string]int)
	for _, entry := range entries {
		counts[entry.kind]++
	}
	out.Property("tables", strconv.Itoa(counts["table"]))
	out.Property("views", strconv.Itoa(counts["view"]))
	out.Property("indexes", strconv.Itoa(counts["index"]))
	out.Property("triggers", strconv.Itoa(counts["trigger"]))
	p := &parts{in: in, out: out}
	if err := p.add("schema", "", func() string { return schemaText(entries) }); err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.kind != "table" || entry.root == 0 {
			continue
		}
		err := file.table(p, entry)
		if err != nil && !errors.Is(err, document.ErrFormat) {
			return err
		}
		if err != nil {
			damage = orElse(damage, fmt.Errorf("table %s: %w", entry.name, err))
		}
	}
	return damage
}

// describe notes what the header says.
func (f *sqliteFile) describe(out *document.Output) {
	out.Property("page_size", strconv.Itoa(f.pageSize))
	out.Property("encoding", map[uint32]string{2: "utf-16le", 3: "utf-16be"}[f.encoding])
	if version := binary.BigEndian.Uint32(f.data[60:]); version != 0 {
		out.Property("user_version", strconv.FormatUint(uint64(version), 10))
	}
	if f.wal {
		out.Property("note", "the database is in WAL mode: newer changes may be in the -wal file beside it, which is not seen here")
	}
}

// schema reads the table of everything else, and returns what was read before an error.
func (f *sqliteFile) schema() ([]sqliteEntry, error) {
	var entries []sqliteEntry
	err := f.walk(1, 0, func(c sqliteCell) error {
		record, err := f.record(c)
		if err != nil {
			return err
		}
		values, err := f.values(record)
		if err != nil || len(values) < 5 {
			return orElse(err, document.Damaged("the schema is of another form"))
		}
		var entry sqliteEntry
		entry.kind, _ = values[0].(string)
		entry.name, _ = values[1].(string)
		entry.table, _ = values[2].(string)
		entry.statement, _ = values[4].(string)
		if root, ok := values[3].(int64); ok {
			entry.root = int(root)
		}
		entries = append(entries, entry)
		return nil
	})
	return entries, err
}

// schemaText returns the statements that made a database.
func schemaText(entries []sqliteEntry) string {
	if len(entries) == 0 {
		return "The database is empty."
	}
	var b strings.Builder
	for _, entry := range entries {
		if entry.statement == "" {
			fmt.Fprintf(&b, "-- %s %s of table %s, made by SQLite\n", entry.kind, entry.name, entry.table)
			continue
		}
		b.WriteString(entry.statement + ";\n")
	}
	return document.Code("sql", b.String())
}

// table gives out the rows of a table.
func (f *sqliteFile) table(p *parts, entry sqliteEntry) error {
	table := parseTable(entry.statement)
	head := make([]string, 0, len(table.columns))
	for _, column := range table.columns {
		if !column.virtual {
			head = append(head, column.name)
		}
	}
	var damage error
	rows := grid[sqliteCell]{parts: p, place: "table " + entry.name + " rows", names: []string{entry.name, "table " + entry.name}, head: head}
	rows.cells = func(c sqliteCell) []string {
		row, err := f.row(table, c)
		damage = orElse(damage, err)
		return row
	}
	err := f.walk(entry.root, 0, func(c sqliteCell) error { return rows.add(c, len(head), c.size) })
	if err == nil || errors.Is(err, document.ErrFormat) {
		err = orElse(rows.flush(), err)
	}
	return orElse(err, damage)
}

// row reads a row, in the order of the columns.
func (f *sqliteFile) row(table *sqliteTable, c sqliteCell) ([]string, error) {
	record, err := f.record(c)
	if err != nil {
		return []string{"(damaged)"}, err
	}
	values, err := f.values(record)
	if err == nil && len(values) > len(table.order) {
		err = document.Damaged("a row has more values than the table has columns")
	}
	byColumn := make([]string, len(table.columns))
	for n, i := range table.order {
		column := table.columns[i]
		value := column.fallback
		if n < len(values) {
			value = values[n]
		}
		if i == table.rowid && value == nil {
			value = c.rowid
		}
		byColumn[i] = show(value, column.isReal())
	}
	row := make([]string, 0, len(byColumn))
	for i, column := range table.columns {
		if !column.virtual {
			row = append(row, byColumn[i])
		}
	}
	return row, err
}
