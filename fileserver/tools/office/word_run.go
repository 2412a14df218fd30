package office

import (
	"cmp"
	"strconv"
)

// run reads a run: text that looks alike.
func (f *flow) run(s *scanner, p *paragraph, as look) error {
	for i := range f.fields {
		as.link = cmp.Or(f.fields[i].link, as.link)
	}
	return s.each(func(element string) error {
		if element == "rPr" {
			return f.look(s, &as)
		}
		return f.piece(s, element, p, as)
	})
}

// look reads how a run looks.
func (f *flow) look(s *scanner, as *look) error {
	return s.each(func(element string) error {
		on := s.flag("val", true)
		switch element {
		case "rStyle":
			style := f.word.styles.character(s.attr("val"))
			as.bold, as.italic = as.bold || style.bold, as.italic || style.italic
		case "b":
			as.bold = on
		case "i":
			as.italic = on
		case "strike", "dstrike":
			as.strike = on
		case "vanish":
			as.hidden = on
		case "vertAlign":
			as.script = map[string]string{"superscript": "sup", "subscript": "sub"}[s.attr("val")]
		}
		return nil
	})
}

// piece reads a piece of a run.
func (f *flow) piece(s *scanner, element string, p *paragraph, as look) error {
	switch element {
	case "t":
		text, err := s.content()
		p.add(text, as)
		return err
	case "tab", "ptab":
		p.add("\t", as)
	case "br", "cr":
		if kind := s.attr("type"); kind == "" || kind == "textWrapping" {
			p.add("\n", as)
		}
	case "noBreakHyphen":
		p.add("-", as)
	case "sym":
		p.add(symbol(s.attr("char")), as)
	case "fldChar":
		f.field(s.attr("fldCharType"))
	case "instrText":
		text, err := s.content()
		if last := len(f.fields) - 1; last >= 0 && !f.fields[last].result {
			f.fields[last].instruction += text
		}
		return err
	case "footnoteReference", "endnoteReference", "commentReference":
		mark := noteMark(element[:len(element)-len("Reference")], s.attr("id"))
		p.add(mark, look{})
		f.note(mark)
	case "drawing", "pict", "object":
		return f.drawing(s, p)
	case "AlternateContent", "Choice":
		return s.each(func(element string) error { return f.piece(s, element, p, as) })
	}
	return nil
}

// drawing reads pictures, charts, diagrams and boxes of text.
func (f *flow) drawing(s *scanner, p *paragraph) error {
	d := drawn{files: f.word.files, related: f.related}
	d.box = func() error {
		box := f.within()
		err := box.read(s)
		if !box.empty() {
			p.boxes = append(p.boxes, box)
		}
		return err
	}
	err := d.read(s)
	for _, text := range d.texts {
		if len(text) > 1 && text[0] == '!' {
			p.add(text, look{})
			continue
		}
		box := f.within()
		box.write(text, false)
		p.boxes = append(p.boxes, box)
	}
	return err
}

// symbol returns a character of a font of symbols, where it has one of its own elsewhere.
func symbol(code string) string {
	n, err := strconv.ParseUint(code, 16, 32)
	if err != nil {
		return ""
	}
	known := map[uint64]string{
		0xf0fe: "☑", 0xf052: "☑", 0xf0fd: "☒", 0xf0a8: "☐", 0xf06f: "☐", 0xf0a3: "☐", 0xf071: "☐",
		0xf0fc: "✓", 0xf0fb: "✗", 0xf0e0: "→", 0xf0df: "←", 0xf0b7: "•", 0xf0a7: "▪", 0xf04a: "☺",
	}
	if text, ok := known[n]; ok {
		return text
	}
	if n >= 0xe000 && n < 0xf900 {
		return "\uFFFD"
	}
	return string(rune(n))
}
