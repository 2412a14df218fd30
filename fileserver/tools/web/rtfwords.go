package web

import (
	"unicode/utf16"
	"unicode/utf8"
)

// word takes a control word, which may begin a destination as the first of a group.
func (r *rtfReader) word(token rtfToken, first bool) {
	if token.word == "u" {
		r.unicode(token.number)
		return
	}
	if text := characterOf(token.word); text != "" {
		r.settle()
		if r.skip > 0 { // it stands for the character before
			r.skip--
			return
		}
		r.write(text)
		return
	}
	r.skip = 0
	r.settle()
	if token.word == "*" {
		r.special = true
		return
	}
	special := r.special
	r.special = false
	switch {
	case first && r.destination(token.word, special):
	case r.group.to == fontTable:
		r.fontWord(token)
	case r.group.to == styleSheet:
		r.styleWord(token)
	case r.group.to == ignored && token.word != "ud":
	case token.word == "ud": // the other form of a text, in Unicode
		r.group.to = body
	default:
		if !r.characterWord(token) && r.group.to == body {
			r.paragraphWord(token)
		}
	}
}

// unicode takes a character by its number, which may be half of a pair, and negative.
func (r *rtfReader) unicode(number int) {
	r.settle()
	c := rune(uint16(number))
	if number > 0xffff && number <= utf8.MaxRune {
		c = rune(number)
	}
	r.skip = r.group.fallback
	if high := r.high; high != 0 && utf16.IsSurrogate(c) {
		r.write(string(utf16.DecodeRune(high, c)))
		return
	}
	if 0xd800 <= c && c < 0xdc00 {
		r.high = c
		return
	}
	r.write(string(c))
}

// characterOf returns the character that a control word or symbol stands for, empty for none.
func characterOf(word string) string {
	switch word {
	case "emdash":
		return "—"
	case "endash":
		return "–"
	case "lquote":
		return "‘"
	case "rquote":
		return "’"
	case "ldblquote":
		return "“"
	case "rdblquote":
		return "”"
	case "bullet":
		return "•"
	case "_":
		return "-"
	case "~", "emspace", "enspace", "qmspace":
		return " "
	}
	return ""
}

// fontWord takes what the font table says of a font.
func (r *rtfReader) fontWord(token rtfToken) {
	switch token.word {
	case "f":
		r.font = token.number
	case "fcharset":
		if page := charsetPage(token.number); page != "" && len(r.fonts) < maxFonts {
			r.fonts[r.font] = page
		}
	}
}

// styleWord takes which of the style sheet's styles is that of a heading.
func (r *rtfReader) styleWord(token rtfToken) {
	switch token.word {
	case "s":
		r.sheet = token.number
	case "outlinelevel":
		if len(r.ranks) < maxFonts {
			r.ranks[r.sheet] = rankOf(token.number)
		}
	}
}

// rankOf returns a heading's rank, zero for a paragraph that is none.
func rankOf(level int) int {
	if 0 <= level && level < 6 {
		return level + 1
	}
	return 0
}

// characterWord takes a word about characters, and tells whether it was one.
func (r *rtfReader) characterWord(token rtfToken) bool {
	on := !token.hasNumber || token.number != 0
	switch token.word {
	case "b":
		r.turnStyle(bold, on)
	case "i":
		r.turnStyle(italic, on)
	case "strike", "striked", "deleted":
		r.turnStyle(struck, on)
	case "v":
		r.group.hidden = on
	case "plain":
		r.group.style, r.group.hidden, r.group.codePage = 0, false, r.codePage
	case "uc":
		r.group.fallback = min(max(token.number, 0), 100)
	case "f":
		r.group.codePage = r.codePage
		if page, known := r.fonts[token.number]; known {
			r.group.codePage = page
		}
	case "ansicpg":
		r.setPage(numberedPage(token.number))
	case "mac":
		r.setPage("macintosh")
	case "pc":
		r.setPage("437")
	case "pca":
		r.setPage("850")
	default:
		return false
	}
	return true
}

func (r *rtfReader) turnStyle(s style, on bool) {
	r.group.style &^= s
	if on {
		r.group.style |= s
	}
}

// setPage sets the document's code page, if it is known.
func (r *rtfReader) setPage(page string) {
	if page != "" {
		r.codePage, r.group.codePage = page, page
	}
}

// paragraphWord takes a word about paragraphs.
func (r *rtfReader) paragraphWord(token rtfToken) {
	switch token.word {
	case "par", "sect", "page", "nestcell", "column":
		r.endParagraph()
	case "line":
		r.run.lineBreak()
	case "tab":
		r.place()
		r.run.atom("\t")
	case "pard":
		r.inTable, r.rank, r.level = r.inRow, 0, 0
	case "s":
		r.rank = r.ranks[token.number]
	case "outlinelevel":
		r.rank = rankOf(token.number)
	case "ilvl":
		r.level = max(token.number, 0)
	case "chftn":
		r.run.atom(r.noteMark())
	default:
		r.tableWord(token.word)
	}
}

// tableWord takes a word about tables.
func (r *rtfReader) tableWord(word string) {
	switch word {
	case "trowd":
		r.inRow, r.inTable = true, true
	case "intbl":
		r.inTable = true
	case "cell":
		r.inTable = true
		r.place()
		r.endParagraph()
		r.table.endCell()
	case "row":
		r.endParagraph()
		if r.table != nil {
			r.table.beginRow()
		}
		r.inRow, r.inTable = false, false
	}
}
