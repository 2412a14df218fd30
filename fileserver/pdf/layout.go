package pdf

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The layout of a page: glyphs become cells, cells become lines, and lines that share columns become tables.
// The order is the one in which the page draws its text, which is how programs that set several columns write
// them: one after the other.

const (
	// cellGap is the gap between two cells of a line, in heights of a glyph; a space is a third of one.
	cellGap = 1.1
	// sameLine is how far the baselines of a line's cells may be apart, in heights.
	sameLine = 0.45
	// paragraphGap is the distance of two lines' baselines that parts paragraphs, in those of the page.
	paragraphGap = 1.35
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
}

// layOut makes Markdown of the glyphs of a page.
func layOut(glyphs []glyph) string {
	lines := toLines(glyphs)
	pitch := pitchOf(lines)
	var b strings.Builder
	parted := true // by a blank line from what is next
	for i := 0; i < len(lines); {
		if rows := tableAt(lines[i:]); len(rows) > 0 {
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

// toLines gathers glyphs into lines.
func toLines(glyphs []glyph) []*line {
	var (
		lines   []*line
		current *line
		space   bool // a space is due before the next glyph
	)
	for _, g := range glyphs {
		if g.isSpace() {
			space = true
			continue
		}
		if !unicode.IsGraphic(g.char) {
			continue
		}
		if current == nil || !current.takes(g) {
			current = &line{baseline: g.bottom, height: max(g.top-g.bottom, 1)}
			lines = append(lines, current)
			space = false
		}
		current.add(g, space)
		space = false
	}
	return lines
}

// takes tells whether a glyph goes on with the line.
func (l *line) takes(g glyph) bool {
	last := l.cells[len(l.cells)-1]
	height := max(l.height, g.top-g.bottom)
	overlaps := g.bottom < l.baseline+l.height && g.top > l.baseline // a comma, a raised number
	return (math.Abs(g.bottom-l.baseline) <= sameLine*height || overlaps) && g.left >= last.right-height
}

func (l *line) add(g glyph, space bool) {
	if n := len(l.cells); n > 0 {
		last := l.cells[n-1]
		gap, bullet := g.left-last.right, n == 1 && strings.ContainsAny(last.text.String(), bullets) && last.text.Len() <= utf8.UTFMax
		if bullet || gap <= cellGap*max(l.height, g.top-g.bottom) {
			if space || bullet {
				last.text.WriteByte(' ')
			}
			last.text.WriteRune(g.char)
			last.right = max(last.right, g.right)
			l.grow(g)
			return
		}
	}
	next := &cell{left: g.left, right: g.right}
	next.text.WriteRune(g.char)
	l.cells = append(l.cells, next)
	l.grow(g)
}

// grow notes how high the line's glyphs are. A descender does not lower its baseline by much.
func (l *line) grow(g glyph) { l.height = max(l.height, min(g.top-g.bottom, 4*l.height)) }

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
