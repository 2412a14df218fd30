package office

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// PowerPoint reads a presentation. Its parts are the slides, in their order: "slide 2", with their title.
// The text of shapes is in the order of the slide's file, which is the one that a screen reader takes;
// placeholders of text are lists. After it come the notes, under "Notes:", and comments.
func PowerPoint(in *document.Input, out *document.Output) error {
	files, err := open(in, "ppt/presentation.xml")
	if err != nil {
		return err
	}
	files.properties(out)
	related, err := files.relations("ppt/presentation.xml")
	if err != nil {
		return err
	}
	index := related.index()
	var slides []string
	err = files.each("ppt/presentation.xml", func(s *scanner, element string) error {
		if element != "sldIdLst" {
			return nil
		}
		return s.each(func(string) error {
			slides = append(slides, index[s.attr(":id")].target)
			return nil
		})
	})
	out.Property("slides", strconv.Itoa(len(slides)))
	damage := []error{err}
	p := presentation{files: files}
	for i, file := range slides {
		if last := in.Parts.Last(); last > 0 && i+1 > last {
			break
		}
		if in.Parts.Last() > 0 && !in.Parts.Wants(i+1, "") {
			continue
		}
		part, err := p.slide(file)
		damage = append(damage, err)
		part.Location = "slide " + strconv.Itoa(i+1)
		if !in.Parts.Wants(i+1, part.Title) {
			continue
		}
		if err := out.Add(part); err != nil {
			return err
		}
	}
	return errors.Join(damage...)
}

// A presentation reads slides.
type presentation struct {
	files   *archive
	authors map[string]string // of comments, by their id
}

// A slide is what is read of one.
type slide struct {
	files   *archive
	related map[string]relation
	title   string
	hidden  bool
	texts   []string
}

// slide reads a slide with all that belongs to it.
func (p *presentation) slide(file string) (document.Part, error) {
	if !p.files.has(file) {
		return document.Part{Text: "This slide is missing."}, document.Damaged("the slide %q is missing", file)
	}
	one, related, err := p.shapes(file)
	errs := []error{err}
	var text []string
	if one.hidden {
		text = append(text, "This slide is hidden.")
	}
	text = append(text, one.texts...)
	for _, r := range related {
		switch r.kind {
		case "notesSlide":
			notes, _, err := p.shapes(r.target)
			errs = append(errs, err)
			if len(notes.texts) > 0 {
				text = append(text, "Notes:\n"+strings.Join(notes.texts, "\n\n"))
			}
		case "comments":
			comments, err := p.comments(r.target)
			errs = append(errs, err)
			if len(comments) > 0 {
				text = append(text, "Comments:\n- "+strings.Join(comments, "\n- "))
			}
		}
	}
	return document.Part{Title: one.title, Text: strings.Join(text, "\n\n")}, errors.Join(errs...)
}

// shapes reads the shapes of a slide, or of its notes.
func (p *presentation) shapes(file string) (*slide, relations, error) {
	related, relatedErr := p.files.relations(file)
	one := &slide{files: p.files, related: related.index()}
	s, readErr := p.files.scan(file)
	err := s.each(func(string) error {
		one.hidden = !s.flag("show", true)
		return s.each(func(element string) error {
			if element != "cSld" {
				return nil
			}
			return s.each(func(element string) error {
				if element != "spTree" {
					return nil
				}
				return s.each(func(element string) error { return one.shape(s, element) })
			})
		})
	})
	return one, related, fileError(file, errors.Join(relatedErr, readErr, err))
}

// comments reads comments, those of old and those of today, which have answers.
func (p *presentation) comments(file string) ([]string, error) {
	if p.authors == nil {
		p.authors = make(map[string]string)
		for _, authors := range []string{"ppt/commentAuthors.xml", "ppt/authors.xml"} {
			_ = p.files.each(authors, func(s *scanner, _ string) error {
				p.authors[s.attr("id")] = s.attr("name")
				return nil
			})
		}
	}
	var found []string
	var author string
	var visit func(s *scanner, element string) error
	visit = func(s *scanner, element string) error {
		switch element {
		case "cm", "reply":
			author = p.authors[s.attr("authorId")]
		case "text", "txBody":
			text, err := s.content()
			text = strings.Join(strings.Fields(text), " ")
			if author != "" {
				text = author + ": " + text
			}
			found = append(found, text)
			return err
		case "replyLst":
		default:
			return nil
		}
		return s.each(func(element string) error { return visit(s, element) })
	}
	err := p.files.each(file, visit)
	return found, err
}
