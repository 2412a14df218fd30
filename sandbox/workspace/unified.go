package workspace

import (
	"fmt"
	"strings"
)

// groups returns the changes that are shown together: those with no more than twice the context between them.
func (d *differ) groups(context int) [][]change {
	var groups [][]change
	for i, c := range d.changes {
		if i > 0 && c.fromA-d.changes[i-1].toA <= 2*context {
			groups[len(groups)-1] = append(groups[len(groups)-1], c)
			continue
		}
		groups = append(groups, []change{c})
	}
	return groups
}

// writeHunk writes the changes of a group with the lines around them, and returns how many lines they add and
// remove.
func writeHunk(out *strings.Builder, a, b text, group []change, context int) (added, removed int) {
	first, last := group[0], group[len(group)-1]
	before := min(context, first.fromA)
	after := min(context, len(a.lines)-last.toA)
	fmt.Fprintf(out, "@@ -%s +%s @@\n",
		hunkRange(first.fromA-before, last.toA+after), hunkRange(first.fromB-before, last.toB+after))
	at := first.fromA - before
	for _, c := range group {
		writeLines(out, ' ', a, at, c.fromA)
		writeLines(out, '-', a, c.fromA, c.toA)
		writeLines(out, '+', b, c.fromB, c.toB)
		removed, added, at = removed+c.toA-c.fromA, added+c.toB-c.fromB, c.toA
	}
	writeLines(out, ' ', a, at, last.toA+after)
	return added, removed
}

// hunkRange is a range of lines, given from 0, as a hunk names it.
func hunkRange(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from) // the line before
	case 1:
		return fmt.Sprint(from + 1)
	default:
		return fmt.Sprintf("%d,%d", from+1, to-from)
	}
}

// noLineEnd is what stands behind a last line without an end.
const noLineEnd = `\ No newline at end of file`

func writeLines(out *strings.Builder, mark byte, t text, from, to int) {
	for i, line := range t.lines[from:to] {
		out.WriteByte(mark)
		out.WriteString(line)
		out.WriteByte('\n')
		if t.open && from+i == len(t.lines)-1 {
			out.WriteString(noLineEnd + "\n")
		}
	}
}
