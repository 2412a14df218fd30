package office

import (
	"strings"
)

// A paragraph is what a paragraph says of itself, and its text.
type paragraph struct {
	line
	style   string
	outline int // its level as a heading, counted from 0; -1 for none
	list    listItem
	joined  bool    // its end was deleted
	boxes   []*flow // boxes of text that are anchored in it
}

// paragraph reads a paragraph.
func (f *flow) paragraph(s *scanner) error {
	p := &paragraph{outline: -1, list: listItem{id: -1, level: -1}}
	if f.carry != nil {
		p.spans, f.carry = f.carry.spans, nil
		p.resume()
	}
	err := s.each(func(element string) error {
		if element == "pPr" {
			return p.properties(s)
		}
		return f.inline(s, element, p, look{})
	})
	if p.joined && err == nil {
		p.end()
		f.carry = &line{spans: p.spans}
		return nil
	}
	if endErr := f.end(p); err == nil {
		err = endErr
	}
	for _, box := range p.boxes {
		f.write(box.text(), false)
		f.take(box)
	}
	return err
}

// properties reads what a paragraph says of itself.
func (p *paragraph) properties(s *scanner) error {
	return s.each(func(element string) error {
		switch element {
		case "pStyle":
			p.style = s.attr("val")
		case "outlineLvl":
			p.outline = s.number("val", -1)
		case "numPr":
			return p.list.read(s)
		case "rPr":
			return s.each(func(element string) error {
				p.joined = p.joined || element == "del" || element == "moveFrom"
				return nil
			})
		}
		return nil
	})
}

// end writes a paragraph that was read.
func (f *flow) end(p *paragraph) error {
	style := f.word.styles.paragraph(p.style)
	level := p.outline
	if level < 0 {
		level = style.outline
	}
	label := f.word.styles.label(p.list, style)
	if level >= 0 && level < 9 {
		return f.heading(p, level, label)
	}
	text := strings.Trim(p.markdown(), " \t\n")
	if text != "" && label.text != "" {
		text = indent(label.level) + label.text + " " + strings.ReplaceAll(text, "\n", "\n"+indent(label.level+1))
		f.write(text, true)
	} else {
		f.write(text, false)
	}
	if f.isBody && f.lines >= linesPerSection {
		return f.word.give(f)
	}
	return nil
}

// heading writes a heading, before which a section may end. Bold is nothing to tell of a heading.
func (f *flow) heading(p *paragraph, level int, label label) error {
	p.end()
	for i := range p.spans {
		p.spans[i].look.bold = false
	}
	p.resume()
	text := strings.Join(strings.Fields(p.markdown()), " ")
	if text == "" {
		return nil
	}
	if label.text != "" && label.text != "-" {
		text = label.text + " " + text
	}
	if f.isBody && level == 0 {
		if err := f.word.heading(f, strings.Join(strings.Fields(p.plain()), " ")); err != nil {
			return err
		}
	}
	f.write(strings.Repeat("#", min(level+1, 6))+" "+text, false)
	return nil
}

// inline reads a piece of a paragraph.
func (f *flow) inline(s *scanner, element string, p *paragraph, as look) error {
	into := func(as look) error {
		return s.each(func(element string) error { return f.inline(s, element, p, as) })
	}
	switch element {
	case "r":
		return f.run(s, p, as)
	case "hyperlink":
		if target := f.related[s.attr(":id")]; target.external {
			as.link = target.target
		}
		return into(as)
	case "ins", "moveTo":
		f.word.inserted++
		return into(as)
	case "del", "moveFrom":
		f.word.deleted++
		return nil
	case "fldSimple":
		if address := hyperlink(s.attr("instr")); address != "" {
			as.link = address
		}
		return into(as)
	case "smartTag", "sdt", "sdtContent", "customXml", "dir", "bdo", "AlternateContent", "Choice":
		return into(as)
	case "oMath", "oMathPara":
		text, err := equation(s)
		p.add(text, look{})
		return err
	default:
		return nil
	}
}

// A field is what Word works out, and its result.
type field struct {
	instruction string
	link        string
	result      bool // the result follows
}

// field follows the beginning, the middle and the end of a field.
func (f *flow) field(kind string) {
	last := len(f.fields) - 1
	switch {
	case kind == "begin" && len(f.fields) < maxDepth:
		f.fields = append(f.fields, field{})
	case kind == "separate" && last >= 0:
		f.fields[last].result = true
		f.fields[last].link = hyperlink(f.fields[last].instruction)
	case kind == "end" && last >= 0:
		f.fields = f.fields[:last]
	}
}

// hyperlink returns the address of a field that is a link.
func hyperlink(instruction string) string {
	rest, ok := strings.CutPrefix(strings.TrimSpace(instruction), "HYPERLINK ")
	if !ok {
		return ""
	}
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, `"`) {
		address, _, _ := strings.Cut(rest[1:], `"`)
		return address
	}
	if strings.HasPrefix(rest, `\`) { // to a place in the document
		return ""
	}
	address, _, _ := strings.Cut(rest, " ")
	return address
}
