package data

import (
	"fmt"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxRows bounds the rows, lines or entries of one part.
	maxRows = 500
	// maxCells bounds the cells of one part, as every row of a table is as wide as its widest.
	maxCells = 200_000
	// maxPart is how many bytes of content a part has before the next one begins. A single row or line that
	// is longer is kept whole.
	maxPart = 1 << 20
)

// parts counts the parts of a document, and gives out those that are wanted.
type parts struct {
	in  *document.Input
	out *document.Output
	n   int
}

// add gives out the next part if it is wanted by its number, by its location, or by one of names. Its text
// is made only then.
func (p *parts) add(location, title string, text func() string, names ...string) error {
	p.n++
	wanted := p.in.Parts.Wants(p.n, location)
	for _, name := range names {
		wanted = wanted || p.in.Parts.Wants(p.n, name)
	}
	if wanted {
		if err := p.out.Add(document.Part{Location: location, Title: title, Text: text()}); err != nil {
			return err
		}
	}
	if last := p.in.Parts.Last(); last > 0 && p.n >= last {
		return document.ErrEnough
	}
	return nil
}

// A grid gives out rows as tables of a bounded size, each of which repeats the head.
type grid[R any] struct {
	parts *parts
	place string   // what is before the numbers of the rows: "rows", "table users rows"
	names []string // by which the parts are wanted too
	head  []string
	cells func(R) []string // called for rows that are wanted

	rows  []R
	first int // of rows, counted from 1; zero before the first
	width int
	bytes int
	count int
}

// add takes a row of a number of columns and of a number of bytes.
func (g *grid[R]) add(row R, columns, bytes int) error {
	width := max(g.width, columns, len(g.head))
	if len(g.rows) > 0 && (len(g.rows) >= maxRows || (len(g.rows)+2)*width > maxCells || g.bytes+bytes > maxPart) {
		if err := g.flush(); err != nil {
			return err
		}
		width = max(columns, len(g.head))
	}
	g.count++
	if len(g.rows) == 0 {
		g.first = g.count
	}
	g.rows, g.width, g.bytes = append(g.rows, row), width, g.bytes+bytes
	return nil
}

// flush gives out the rows that are left. Where there never was one, it gives out the head alone.
func (g *grid[R]) flush() error {
	if len(g.rows) == 0 && g.first > 0 {
		return nil
	}
	location := fmt.Sprintf("%s %d-%d", g.place, g.first, g.count)
	if g.count == 0 {
		location, g.first = g.place+" 0", 1
	}
	err := g.parts.add(location, "", func() string {
		table := make([][]string, 0, len(g.rows)+1)
		table = append(table, g.head)
		for _, row := range g.rows {
			table = append(table, g.cells(row))
		}
		return document.Table(table)
	}, g.names...)
	g.rows, g.width, g.bytes = nil, 0, 0
	return err
}
