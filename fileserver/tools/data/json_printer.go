package data

import "strings"

const (
	// prettyDepth is how deep values stand on lines of their own.
	prettyDepth = 12
	// shortValue is how long a value in brackets may be that stays on one line, in bytes as it is written.
	shortValue = 80
)

// A jsonPrinter writes the values that it is told of with indentation: short ones, and those deep inside,
// on one line. What is not whole is written as far as it is there.
type jsonPrinter struct {
	text     string // that the values are of
	b        strings.Builder
	members  []int // of each value that is open
	afterKey bool
	flat     int // the depth from which all is on one line, zero for none
}

func (p *jsonPrinter) begin(open byte, at int) {
	p.lead()
	p.b.WriteByte(open)
	p.members = append(p.members, 0)
	if p.flat == 0 && (len(p.members) > prettyDepth || p.isShort(at)) {
		p.flat = len(p.members)
	}
}

// isShort tells that the brackets that were opened before a position close soon.
func (p *jsonPrinter) isShort(at int) bool {
	depth, quoted := 1, false
	for i := at; i < min(len(p.text), at+shortValue); i++ {
		switch c := p.text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return true
			}
		}
	}
	return false
}

func (p *jsonPrinter) key(raw string) {
	p.lead()
	p.b.WriteString(raw + ": ")
	p.afterKey = true
}

func (p *jsonPrinter) scalar(raw string) {
	p.lead()
	p.b.WriteString(raw)
}

func (p *jsonPrinter) end(closing byte) {
	depth := len(p.members) - 1
	if p.flat == 0 && p.members[depth] > 0 {
		p.line(depth)
	}
	if p.flat == depth+1 {
		p.flat = 0
	}
	p.members = p.members[:depth]
	p.b.WriteByte(closing)
}

// lead writes what is before a key, or before a value that has none.
func (p *jsonPrinter) lead() {
	depth := len(p.members)
	if p.afterKey || depth == 0 {
		p.afterKey = false
		return
	}
	n := &p.members[depth-1]
	if *n++; *n > 1 {
		p.b.WriteByte(',')
	}
	switch {
	case p.flat == 0:
		p.line(depth)
	case *n > 1:
		p.b.WriteByte(' ')
	}
}

func (p *jsonPrinter) line(depth int) {
	p.b.WriteByte('\n')
	for range depth {
		p.b.WriteString("  ")
	}
}
