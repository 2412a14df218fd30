package pdf

import (
	"math"
	"slices"
	"strings"
)

// The layout of a page: words become cells, cells become lines, and lines that share columns become tables.
// The order is the one in which the page draws its text, which is how programs that set several columns write
// them: one after the other.

const (
	// cellGap is the gap between two cells of a line, in heights of a word; a space is a third of one.
	cellGap = 1.1
	// sameLine is how far the baselines of a line's cells may be apart, in heights.
	sameLine = 0.45
	// paragraphGap is the distance of two lines' baselines that parts paragraphs, in those of the page.
	paragraphGap = 1.35
	// maxEffort bounds the search for the tables of a page, in cells that are looked at. The lines of a page
	// that was made to cost more come one by one.
	maxEffort = 100_000
	// bullets begin the items of a list, with a gap after them that parts no cells.
	bullets = "•◦▪▫‣⁃●○■□–—"
)

// A cell is a run of text without a wide gap in it.
type cell struct {
	text        strings.Builder
	left, right float64
}

// A line is what stands on one baseline, from left to right.
type line struct {
	cells            []*cell
	baseline, height float64
	turned           bool
}

// layOut makes Markdown of the words of a page.
func layOut(words []word) string {
	lines := toLines(words)
	pitch := pitchOf(lines)
	effort := maxEffort
	var b strings.Builder
	parted := true // by a blank line from what is next
	for i := 0; i < len(lines); {
		if rows := tableAt(lines[i:], &effort); len(rows) > 0 {
			if !parted {
				b.WriteByte('\n')
			}
			b.WriteString(writeTable(rows))
			i += len(rows)
			if i < len(lines) {
				b.WriteByte('\n')
			}
			parted = true
			continue
		}
		if i > 0 && !parted && lines[i].parted(lines[i-1], pitch) {
			b.WriteByte('\n')
		}
		b.WriteString(lines[i].String())
		b.WriteByte('\n')
		parted = false
		i++
	}
	return strings.TrimSpace(b.String())
}

// toLines gathers words into lines.
func toLines(words []word) []*line {
	var lines []*line
	for _, w := range words {
		if n := len(lines); n == 0 || !lines[n-1].takes(w) {
			lines = append(lines, &line{baseline: w.bottom, turned: w.turned})
		}
		lines[len(lines)-1].add(w)
	}
	return lines
}

// takes tells whether a word goes on with the line.
func (l *line) takes(w word) bool {
	if l.turned || w.turned {
		return false
	}
	last := l.cells[len(l.cells)-1]
	height := max(l.height, w.top-w.bottom)
	overlaps := w.bottom < l.baseline+l.height && w.top > l.baseline // a raised number
	return (math.Abs(w.bottom-l.baseline) <= sameLine*height || overlaps) && w.left >= last.right-height
}

// add puts a word behind what the line has: into its last cell, or into one of its own after a wide gap.
func (l *line) add(w word) {
	l.height = max(l.height, w.top-w.bottom, 1)
	if n := len(l.cells); n > 0 {
		last := l.cells[n-1]
		gap, bullet := w.left-last.right, n == 1 && strings.Contains(bullets, last.text.String())
		if bullet || gap <= cellGap*l.height || n > maxColumns {
			last.text.WriteByte(' ')
			last.text.WriteString(w.text)
			last.right = max(last.right, w.right)
			return
		}
	}
	next := &cell{left: w.left, right: w.right}
	next.text.WriteString(w.text)
	l.cells = append(l.cells, next)
}

// pitchOf returns the usual distance of two lines' baselines.
func pitchOf(lines []*line) float64 {
	var distances []float64
	for i := 1; i < len(lines); i++ {
		if down := lines[i-1].baseline - lines[i].baseline; down > 0.5*lines[i].height && down < 6*lines[i].height {
			distances = append(distances, down)
		}
	}
	if len(distances) == 0 {
		return math.Inf(1)
	}
	slices.Sort(distances)
	return distances[len(distances)/2]
}

// parted tells whether there is a paragraph's gap between the line and the one before.
func (l *line) parted(before *line, pitch float64) bool {
	down := before.baseline - l.baseline
	return down < -before.height || down > paragraphGap*pitch
}

// String returns the line's text, with its cells apart.
func (l *line) String() string {
	texts := make([]string, len(l.cells))
	for i, c := range l.cells {
		texts[i] = c.text.String()
	}
	return strings.Join(texts, "   ")
}
