package data

import (
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxDepth bounds the nesting of JSON that is followed.
const maxDepth = 1_000

// A jsonVisitor is told of the pieces of a value, in order. Keys and scalars are as they are written.
type jsonVisitor interface {
	begin(open byte, at int) // after a bracket, which ended before at
	key(raw string)
	scalar(raw string)
	end(closing byte)
}

// A jsonParser reads JSON (RFC 8259) without making values of it, so that it needs no memory of its own and
// numbers stay as they are. It reads on over what is not JSON but clear, and remembers that.
type jsonParser struct {
	text  string
	pos   int
	start int   // of the last token
	odd   error // the first thing that was read over
}

// value reads a value and tells visit of it, which may be nil.
func (p *jsonParser) value(visit jsonVisitor, depth int) error {
	kind, raw, err := p.next()
	switch {
	case err != nil:
		return err
	case kind != '{' && kind != '[' && kind != '"' && kind != '0':
		return p.unexpected(kind, raw)
	case kind == '"' || kind == '0':
		if visit != nil {
			visit.scalar(raw)
		}
		return nil
	case depth >= maxDepth:
		return document.Damaged("it is nested deeper than %d levels at byte %d", maxDepth, p.start)
	}
	if visit != nil {
		visit.begin(kind, p.pos)
	}
	err = p.members(kind, func(key string) error {
		if visit != nil && key != "" {
			visit.key(key)
		}
		return p.value(visit, depth+1)
	})
	if err == nil && visit != nil {
		visit.end(kind + 2) // in ASCII both closing brackets are two after theirs
	}
	return err
}

// members reads what is in brackets: member is called where the value of each begins, with its key as it is
// written, which is empty in an array, and reads it.
func (p *jsonParser) members(open byte, member func(key string) error) error {
	for n := 0; ; n++ {
		kind, key, err := p.next()
		switch {
		case err != nil:
			return err
		case kind == open+2:
			if n > 0 {
				p.note("a comma before a closing bracket")
			}
			return nil
		case open == '[':
			p.pos, key = p.start, ""
		case kind != '"':
			return p.unexpected(kind, key)
		default:
			if kind, raw, err := p.next(); err != nil || kind != ':' {
				return orElse(err, p.unexpected(kind, raw))
			}
		}
		if err := member(key); err != nil {
			return err
		}
		kind, raw, err := p.next()
		switch {
		case err != nil:
			return err
		case kind == open+2:
			return nil
		case kind != ',':
			return p.unexpected(kind, raw)
		}
	}
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// next returns the next token: a bracket, comma or colon, '"' for a string, '0' for another scalar, zero at
// the end.
func (p *jsonParser) next() (kind byte, raw string, err error) {
	p.skipSpace()
	p.start = p.pos
	if p.pos == len(p.text) {
		return 0, "", nil
	}
	switch c := p.text[p.pos]; c {
	case '{', '}', '[', ']', ',', ':':
		p.pos++
		return c, p.text[p.start:p.pos], nil
	case '"':
		err := p.skipString()
		return '"', p.text[p.start:p.pos], err
	}
	for p.pos < len(p.text) && isWord(p.text[p.pos]) {
		p.pos++
	}
	raw = p.text[p.start:p.pos]
	switch raw {
	case "true", "false", "null":
		return '0', raw, nil
	case "NaN", "-NaN", "Infinity", "-Infinity", "+Infinity", "undefined", "None", "True", "False":
		p.note(raw)
		return '0', raw, nil
	}
	if isNumber(raw) {
		return '0', raw, nil
	}
	p.pos = p.start
	return 0, "", p.unexpected(p.text[p.start], p.text[p.start:min(len(p.text), p.start+20)])
}

func (p *jsonParser) skipSpace() {
	for p.pos < len(p.text) && isSpace(p.text[p.pos]) {
		p.pos++
	}
}

// skipString goes over a string.
func (p *jsonParser) skipString() error {
	for p.pos++; p.pos < len(p.text); p.pos++ {
		switch p.text[p.pos] {
		case '\\':
			p.pos++
		case '"':
			p.pos++
			return nil
		case '\n':
			p.note("a line's end in a string")
		}
	}
	p.pos = len(p.text)
	return document.Damaged("the string at byte %d does not end", p.start)
}

// note remembers the first thing that is not JSON and was read over.
func (p *jsonParser) note(what string) {
	if p.odd == nil {
		p.odd = document.Damaged("%s at byte %d is not JSON", what, p.start)
	}
}

// unexpected is the error for a token that cannot be where it is.
func (p *jsonParser) unexpected(kind byte, raw string) error {
	if kind == 0 && raw == "" {
		return document.Damaged("it ends in the midst of a value, at byte %d", p.start)
	}
	return document.Damaged("%q at byte %d is not what can be there", raw[:min(len(raw), 20)], p.start)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '+' || c == '-' || c == '.'
}

// isNumber tells that a word is a number of JSON.
func isNumber(raw string) bool {
	rest := strings.TrimPrefix(raw, "-")
	whole := digits(rest)
	if whole == 0 || whole > 1 && rest[0] == '0' {
		return false
	}
	rest = rest[whole:]
	if strings.HasPrefix(rest, ".") {
		n := digits(rest[1:])
		if n == 0 {
			return false
		}
		rest = rest[1+n:]
	}
	if rest == "" {
		return true
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return false
	}
	rest = rest[1:]
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		rest = rest[1:]
	}
	return rest != "" && digits(rest) == len(rest)
}

// digits counts the digits that a text begins with.
func digits(text string) int {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}
