package pdf

import (
	"encoding/binary"
	"math"
	"unicode"
)

// maxGlyphs bounds the characters of a page.
const maxGlyphs = 500_000

// A glyph is a character and where it stands, in points from the page's lower left corner.
type glyph struct {
	char                     rune
	left, right, bottom, top float64 // of what is no space
}

// isSpace tells whether it only parts words. PDFium puts such where the page has none and it sees a gap.
func (g glyph) isSpace() bool { return g.char == '\u00a0' || unicode.IsSpace(g.char) }

// glyphs returns the characters of a page's text, in the order in which the page draws them.
func (f *file) glyphs(text uint64) []glyph {
	count := int(int32(f.call("FPDFText_CountChars", text))) //nolint:gosec // a C int
	if count <= 0 {
		return nil
	}
	const doubles = 4 * 8
	box := f.alloc(doubles)
	defer f.free(box)
	at := uint64(box)
	var glyphs []glyph
	for i := range uint64(min(count, maxGlyphs)) {
		g := glyph{char: rune(uint32(f.call("FPDFText_GetUnicode", text, i)))} //nolint:gosec // checked by who writes it
		switch g.char {
		case 0:
			continue
		case 0xfffe: // PDFium's sign for a hyphen at the end of a line
			g.char = '-'
		}
		if !g.isSpace() {
			f.call("FPDFText_GetCharBox", text, i, at, at+8, at+16, at+24)
			if data := f.read(box, doubles); data != nil {
				g.left, g.right, g.bottom, g.top = double(data), double(data[8:]), double(data[16:]), double(data[24:])
			}
		}
		if f.failed != nil {
			return nil
		}
		glyphs = append(glyphs, g)
	}
	return glyphs
}

// double decodes a number; one that is none is zero.
func double(data []byte) float64 {
	v := math.Float64frombits(binary.LittleEndian.Uint64(data))
	if math.IsNaN(v) || math.Abs(v) > 1e6 {
		return 0
	}
	return v
}
