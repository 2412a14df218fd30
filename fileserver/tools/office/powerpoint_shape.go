package office

import (
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxColumns bounds the columns of a table in a text or on a slide. Word's bound is 63, PowerPoint's 75.
const maxColumns = 200

// shape reads one shape.
func (p *slide) shape(s *scanner, element string) error {
	switch element {
	case "sp":
		return p.text(s)
	case "grpSp", "AlternateContent", "Choice":
		return s.each(func(element string) error { return p.shape(s, element) })
	case "graphicFrame":
		return p.frame(s)
	case "pic", "cxnSp", "contentPart":
		d := drawn{files: p.files, related: p.related}
		err := d.read(s)
		p.texts = append(p.texts, d.texts...)
		return err
	default: // of what an AlternateContent has, its Fallback is what the Choice shows
		return nil
	}
}

// text reads a shape with text. What repeats on each slide, as its number, is left out.
func (p *slide) text(s *scanner) error {
	kind, placeholder := "", false
	return s.each(func(element string) error {
		switch element {
		case "nvSpPr":
			return s.each(func(element string) error {
				if element != "nvPr" {
					return nil
				}
				return s.each(func(element string) error {
					if element == "ph" {
						kind, placeholder = s.attr("type"), true
					}
					return nil
				})
			})
		case "spPr":
			d := drawn{files: p.files, related: p.related}
			err := d.read(s) // a shape may be filled with a picture
			p.texts = append(p.texts, d.texts...)
			return err
		case "txBody":
			isList := placeholder && (kind == "" || kind == "body" || kind == "obj")
			body := slideText{slide: p, isList: isList}
			err := body.read(s)
			p.take(kind, body.lines)
			return err
		}
		return nil
	})
}

// take takes the text of a shape.
func (p *slide) take(kind string, lines []string) {
	text := strings.Join(lines, "\n")
	switch kind {
	case "sldNum", "dt", "ftr", "hdr", "sldImg":
		return
	case "title", "ctrTitle":
		if p.title == "" {
			p.title = strings.Join(strings.Fields(text), " ")
			return
		}
	}
	if strings.TrimSpace(text) != "" {
		p.texts = append(p.texts, text)
	}
}

// frame reads what is in a frame: a table, a chart, a diagram, or a picture of something else.
func (p *slide) frame(s *scanner) error {
	d := drawn{files: p.files, related: p.related}
	err := s.each(func(element string) error {
		if element != "graphic" {
			return nil
		}
		return s.each(func(string) error {
			return s.each(func(element string) error {
				switch element {
				case "tbl":
					return p.table(s)
				case "chart":
					return d.add(p.files.chart, s.attr(":id"))
				case "relIds":
					return d.add(p.files.diagram, s.attr(":dm"))
				default:
					return d.read(s)
				}
			})
		})
	})
	p.texts = append(p.texts, d.texts...)
	return err
}

// table reads a table. A cell that others are merged into is shown once.
func (p *slide) table(s *scanner) error {
	var rows [][]string
	err := s.each(func(element string) error {
		if element != "tr" {
			return nil
		}
		var row []string
		err := s.each(func(element string) error {
			if element != "tc" {
				return nil
			}
			if len(row) >= maxColumns {
				return document.Damaged("a table has more than %d columns", maxColumns)
			}
			cell := slideText{slide: p}
			err := s.each(func(element string) error {
				if element != "txBody" {
					return nil
				}
				return cell.read(s)
			})
			row = append(row, strings.Join(cell.lines, "\n"))
			return err
		})
		rows = append(rows, row)
		return err
	})
	if table := strings.TrimSpace(document.Table(rows)); table != "" {
		p.texts = append(p.texts, table)
	}
	return err
}

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
