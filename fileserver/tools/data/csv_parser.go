package data

import "strings"

const (
	// maxQuoted bounds a field in quotes: a longer one is taken for a quote that is not closed.
	maxQuoted = 1 << 20
	// maxUnclosed is how many quotes that are not closed are looked after; beyond, quotes are characters.
	maxUnclosed = 100
)

// A csvParser reads the records of RFC 4180, and what is like them: lines may end with CR alone, records may
// be of different lengths, and a quote in the midst of a field is a character.
type csvParser struct {
	text      string
	separator byte
	pos       int
	records   int
	fields    int // of the record before, if they are not many

	unclosed   int // how many quotes were not closed
	unclosedAt int // the record that has the first of them
}

func newCSVParser(text string, separator byte) *csvParser {
	return &csvParser{text: text, separator: separator}
}

// record returns the next record, false at the end. Empty lines are none.
func (p *csvParser) record() ([]string, bool) {
	for p.pos < len(p.text) && isLineEnd(p.text[p.pos]) {
		p.pos++
	}
	if p.pos >= len(p.text) {
		return nil, false
	}
	p.records++
	row := make([]string, 0, p.fields)
	for {
		row = append(row, p.field())
		if p.pos >= len(p.text) || isLineEnd(p.text[p.pos]) {
			p.fields = min(len(row), 100)
			return row, true
		}
		p.pos++ // over the separator
	}
}

func isLineEnd(c byte) bool { return c == '\n' || c == '\r' }

// field reads a field, up to what ends it.
func (p *csvParser) field() string {
	if p.pos < len(p.text) && p.text[p.pos] == '"' && p.unclosed < maxUnclosed {
		if field, ok := p.quoted(); ok {
			return field
		}
		if p.unclosed++; p.unclosed == 1 {
			p.unclosedAt = p.records
		}
	}
	text, separator, end := p.text[p.pos:], p.separator, 0
	for end < len(text) && text[end] != separator && !isLineEnd(text[end]) {
		end++
	}
	p.pos += end
	return text[:end]
}

// ends tells that a field ends before a position.
func (p *csvParser) ends(at int) bool {
	return at >= len(p.text) || p.text[at] == p.separator || isLineEnd(p.text[at])
}

// quoted reads a field in quotes. It moves only if there is one.
func (p *csvParser) quoted() (string, bool) {
	start, limit := p.pos+1, min(len(p.text), p.pos+maxQuoted)
	doubled := false
	for at := start; at < limit; {
		next := strings.IndexByte(p.text[at:limit], '"')
		if next < 0 {
			return "", false
		}
		at += next
		switch {
		case p.ends(at + 1):
			field := p.text[start:at]
			if doubled {
				field = strings.ReplaceAll(field, `""`, `"`)
			}
			p.pos = at + 1
			return field, true
		case p.text[at+1] == '"':
			doubled = true
			at += 2
		default:
			at++
		}
	}
	return "", false
}
