package office

import (
	"strconv"
	"strings"
)

// A slideText is the text of a shape, by its paragraphs.
type slideText struct {
	slide   *slide
	isList  bool
	lines   []string
	numbers [9]int // of lists that are numbered, by level
}

// read reads the paragraphs of the element that is open.
func (t *slideText) read(s *scanner) error {
	return s.each(func(element string) error {
		if element != "p" {
			return nil
		}
		var text line
		level, bullet := 0, ""
		if t.isList {
			bullet = "-"
		}
		err := s.each(func(element string) error {
			if element == "pPr" {
				level = min(max(s.number("lvl", 0), 0), 8)
				return t.bullet(s, level, &bullet)
			}
			return t.run(s, element, &text)
		})
		t.end(strings.Trim(text.markdown(), " \t\n"), level, bullet)
		return err
	})
}

// bullet reads what stands before a paragraph.
func (t *slideText) bullet(s *scanner, level int, bullet *string) error {
	return s.each(func(element string) error {
		switch element {
		case "buNone":
			*bullet = ""
		case "buChar", "buBlip":
			*bullet = "-"
		case "buAutoNum":
			t.numbers[level] = max(t.numbers[level]+1, s.number("startAt", 1))
			*bullet = listNumber(autoNumber(s.attr("type")), t.numbers[level]) + "."
		}
		return nil
	})
}

// autoNumber returns the kind of number of a scheme like "alphaLcParenR".
func autoNumber(scheme string) string {
	switch {
	case strings.HasPrefix(scheme, "alphaLc"):
		return "lowerLetter"
	case strings.HasPrefix(scheme, "alphaUc"):
		return "upperLetter"
	case strings.HasPrefix(scheme, "romanLc"):
		return "lowerRoman"
	case strings.HasPrefix(scheme, "romanUc"):
		return "upperRoman"
	default:
		return "decimal"
	}
}

// end ends a paragraph.
func (t *slideText) end(text string, level int, bullet string) {
	if text == "" {
		return
	}
	for deeper := level + 1; deeper < len(t.numbers); deeper++ {
		t.numbers[deeper] = 0
	}
	if bullet != "" {
		text = indent(level) + bullet + " " + strings.ReplaceAll(text, "\n", " ")
	}
	t.lines = append(t.lines, text)
}

// run reads a piece of a paragraph.
func (t *slideText) run(s *scanner, element string, to *line) error {
	switch element {
	case "br":
		to.add("\n", look{})
		return nil
	case "r", "fld":
	case "m", "oMathPara", "oMath":
		text, err := equation(s)
		to.add(text, look{})
		return err
	case "AlternateContent", "Choice":
		return s.each(func(element string) error { return t.run(s, element, to) })
	default:
		return nil
	}
	var as look
	return s.each(func(element string) error {
		switch element {
		case "rPr":
			as.bold, as.italic = s.flag("b", false), s.flag("i", false)
			as.strike = strings.HasSuffix(s.attr("strike"), "Strike") && s.attr("strike") != "noStrike"
			if shift, err := strconv.Atoi(s.attr("baseline")); err == nil && shift != 0 {
				as.script = map[bool]string{true: "sup", false: "sub"}[shift > 0]
			}
			return s.each(func(element string) error {
				if element == "hlinkClick" {
					if target := t.slide.related[s.attr(":id")]; target.external {
						as.link = target.target
					}
				}
				return nil
			})
		case "t":
			text, err := s.content()
			to.add(strings.ReplaceAll(text, "\v", "\n"), as)
			return err
		}
		return nil
	})
}
