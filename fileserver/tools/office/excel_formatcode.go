package office

import (
	"strconv"
	"strings"
)

// maxFormat bounds the text of a number format. Excel's own bound is 255.
const maxFormat = 1_000

// parseFormat reads the text of a number format. What it does not understand it leaves out.
func parseFormat(code string) *numberFormat {
	f := &numberFormat{}
	if len(code) > maxFormat {
		return f
	}
	p := formatParser{rest: []rune(code)}
	for p.more = true; p.more && len(f.sections) < 4; {
		f.sections = append(f.sections, p.section())
	}
	return f
}

// A formatParser reads a number format's text section by section.
type formatParser struct {
	rest  []rune
	more  bool // another section follows
	s     formatSection
	point bool            // it is behind the decimal point
	part  strings.Builder // what stands between placeholders
	month bool            // there was an m, which is a month or a minute
}

// section reads to the next semicolon.
func (p *formatParser) section() formatSection {
	p.s, p.point, p.month, p.more = formatSection{}, false, false, false
	p.part.Reset()
	for len(p.rest) > 0 && !p.more {
		c := p.rest[0]
		p.rest = p.rest[1:]
		p.take(c)
	}
	if p.month && !p.s.time && !p.s.total {
		p.s.day = true
	}
	if p.s.pattern == "" && !p.point {
		p.s.prefix += p.part.String()
	} else {
		p.s.suffix = p.part.String()
	}
	return p.s
}

func (p *formatParser) take(c rune) {
	switch c {
	case ';':
		p.more = true
	case '"':
		p.part.WriteString(p.until('"'))
	case '[':
		p.bracket(p.until(']'))
	case '\\', '!':
		p.part.WriteString(p.one())
	case '_':
		p.one()
		p.part.WriteByte(' ')
	case '*':
		p.one()
	case '0', '#', '?':
		p.digit(c)
	case '.':
		p.point = true
	case ',':
		p.comma()
	case '%':
		p.s.percents = min(p.s.percents+1, 8)
		p.part.WriteByte('%')
	case '/':
		p.s.fraction = p.s.pattern != "" && !p.s.day
	case '@':
		p.s.isText = true
	default:
		p.letter(c)
	}
}

// until returns what stands before a mark, and passes it.
func (p *formatParser) until(mark rune) string {
	for i, c := range p.rest {
		if c == mark {
			text := string(p.rest[:i])
			p.rest = p.rest[i+1:]
			return text
		}
	}
	text := string(p.rest)
	p.rest = nil
	return text
}

// one returns the next character.
func (p *formatParser) one() string {
	if len(p.rest) == 0 {
		return ""
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	return string(c)
}

func (p *formatParser) digit(c rune) {
	switch {
	case p.s.exponent:
		return
	case p.point:
		p.s.decimals++
		if c == '0' {
			p.s.needed = p.s.decimals
		}
		return
	case p.s.pattern == "":
		p.s.prefix += p.part.String()
	default:
		p.s.pattern += p.part.String()
	}
	p.part.Reset()
	p.s.pattern += string(c)
}

// comma is between digits where it groups them, and behind them where it divides.
func (p *formatParser) comma() {
	if p.s.pattern == "" {
		return
	}
	next := strings.TrimLeft(string(p.rest), ",")
	if next != "" && strings.ContainsAny(next[:1], "0#?") {
		p.s.thousands = p.s.thousands || !p.point
		return
	}
	p.s.scale = min(p.s.scale+1, 4)
}

// bracket reads a condition, a currency, or an elapsed time. Colours and languages are nothing to a reader.
func (p *formatParser) bracket(text string) {
	switch {
	case strings.HasPrefix(text, "$"):
		symbol, _, _ := strings.Cut(text[1:], "-")
		p.part.WriteString(symbol)
	case text != "" && strings.Trim(strings.ToLower(text), text[:1]) == "" && strings.ContainsAny(text[:1], "hmsHMS"):
		p.s.total = true
	case strings.HasPrefix(text, "<") || strings.HasPrefix(text, ">") || strings.HasPrefix(text, "="):
		limit := strings.TrimLeft(text, "<>=")
		if value, err := strconv.ParseFloat(limit, 64); err == nil {
			p.s.compare, p.s.limit = text[:len(text)-len(limit)], value
		}
	}
}

func (p *formatParser) letter(c rune) {
	next := ""
	if len(p.rest) > 0 {
		next = string(p.rest[0])
	}
	switch c {
	case 'y', 'Y', 'd', 'D':
		p.s.day = true
	case 'm', 'M':
		p.month = true
	case 'h', 'H':
		p.s.time = true
	case 's', 'S':
		p.s.time, p.s.second = true, true
	case 'E', 'e':
		p.s.exponent = next == "+" || next == "-"
		p.s.day = p.s.day || !p.s.exponent
		if p.s.exponent {
			p.one()
		}
	case 'A', 'a':
		for _, mark := range []string{"m/pm", "/p"} {
			if rest := string(p.rest[:min(len(p.rest), len(mark))]); strings.EqualFold(rest, mark) {
				p.rest = p.rest[len(mark):]
				p.s.time = true
				break
			}
		}
	case 'G', 'g':
		if strings.EqualFold("g"+string(p.rest[:min(len(p.rest), 6)]), "general") {
			p.rest = p.rest[6:]
			p.s.general = true
		}
	default:
		p.part.WriteRune(c)
	}
}
