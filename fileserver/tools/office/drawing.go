package office

import (
	"cmp"
	"errors"
	"strings"
)

// drawing returns what is drawn on a sheet: charts, diagrams, pictures and boxes of text, each with the
// cell that it stands at.
func (a *archive) drawing(file string) ([]string, error) {
	related, err := a.relations(file)
	var made []string
	eachErr := a.each(file, func(s *scanner, _ string) error {
		d := drawn{files: a, related: related.index()}
		err := d.read(s)
		at := ""
		if d.row > 0 {
			at = "At " + cellName(min(d.column, maxColumn), d.row) + ": "
		}
		if text := strings.Join(d.texts, "\n\n"); text != "" {
			made = append(made, at+text)
		}
		return err
	})
	return made, errors.Join(err, eachErr)
}

// A drawn is one thing that is drawn: a picture, a chart, a shape.
type drawn struct {
	files       *archive
	related     map[string]relation
	row, column int // on a sheet
	alt         string
	texts       []string
	box         func() error // reads the box of text that is open; nil where there is none
}

// read reads the element that is open.
func (d *drawn) read(s *scanner) error {
	return s.each(func(element string) error {
		switch element {
		case "from":
			return d.anchor(s)
		case "docPr", "cNvPr":
			d.alt = cmp.Or(s.attr("descr"), s.attr("title"), d.alt)
		case "blip":
			if target := d.related[cmp.Or(s.attr(":embed"), s.attr(":link"))].target; target != "" {
				d.texts = append(d.texts, picture(d.alt, target))
			}
		case "chart":
			return d.add(d.files.chart, s.attr(":id"))
		case "relIds":
			return d.add(d.files.diagram, s.attr(":dm"))
		case "txbxContent":
			if d.box != nil {
				return d.box()
			}
		case "imagedata": // of a picture in VML, as older programs write it
			if target := d.related[s.attr(":id")].target; target != "" {
				d.texts = append(d.texts, picture(cmp.Or(s.attr("title"), d.alt), target))
			}
		case "shape":
			d.alt = cmp.Or(s.attr("alt"), d.alt)
		case "txBody":
			texts, err := paragraphs(s)
			if len(texts) > 0 {
				d.texts = append(d.texts, strings.Join(texts, "\n"))
			}
			return err
		case "Fallback": // of what is there already
			return nil
		default:
			return d.read(s)
		}
		return d.read(s)
	})
}

// add adds what another file holds.
func (d *drawn) add(read func(file string) (string, error), id string) error {
	target := d.related[id]
	if target.target == "" || target.external {
		return nil
	}
	text, err := read(target.target)
	if text != "" {
		d.texts = append(d.texts, text)
	}
	return err
}

// anchor reads the cell that something stands at.
func (d *drawn) anchor(s *scanner) error {
	return s.each(func(element string) error {
		text, err := s.content()
		switch number := parseSmall(text); element {
		case "col":
			d.column = number + 1
		case "row":
			d.row = number + 1
		}
		return err
	})
}
