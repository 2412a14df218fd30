package office

import (
	"errors"
	"strconv"
	"strings"
)

// maxBased bounds how many styles one is based on.
const maxBased = 20

// A wordStyle is a style of paragraphs or of characters.
type wordStyle struct {
	based        string
	outline      int // the level as a heading, counted from 0; -1 for none
	bold, italic bool
	list         listItem
	deeper       int // levels of a list that its name tells, as in "List Bullet 3"
}

// wordStyles are the styles and lists of a document.
type wordStyles struct {
	byID      map[string]wordStyle
	lists     map[int]*wordList // by the number that paragraphs refer to
	abstracts map[int]*abstractList
}

// load reads styles and lists.
func (w *wordStyles) load(files *archive, styles, numbering string) error {
	w.byID = make(map[string]wordStyle)
	err := files.each(styles, func(s *scanner, element string) error {
		if element != "style" {
			return nil
		}
		id := s.attr("styleId")
		style, err := readStyle(s)
		w.byID[id] = style
		return err
	})
	return errors.Join(err, w.loadLists(files, numbering))
}

func readStyle(s *scanner) (wordStyle, error) {
	style := wordStyle{outline: -1, list: listItem{id: -1, level: -1}}
	name := ""
	err := s.each(func(element string) error {
		switch element {
		case "name":
			name = strings.ToLower(s.attr("val"))
		case "basedOn":
			style.based = s.attr("val")
		case "pPr":
			return s.each(func(element string) error {
				switch element {
				case "outlineLvl":
					style.outline = s.number("val", -1)
				case "numPr":
					return style.list.read(s)
				}
				return nil
			})
		case "rPr":
			return s.each(func(element string) error {
				switch element {
				case "b":
					style.bold = s.flag("val", true)
				case "i":
					style.italic = s.flag("val", true)
				}
				return nil
			})
		}
		return nil
	})
	if words := strings.Fields(name); len(words) == 3 && words[0] == "list" {
		style.deeper = min(max(parseSmall(words[2])-1, 0), 4)
	}
	if name == "title" {
		style.outline = 0
	}
	if level, err := strconv.Atoi(strings.TrimPrefix(name, "heading ")); err == nil && level >= 1 && level <= 9 {
		style.outline = level - 1
	}
	return style, err
}

// paragraph returns a style with what it has from those that it is based on.
func (w *wordStyles) paragraph(id string) wordStyle {
	style := wordStyle{outline: -1, list: listItem{id: -1, level: -1}}
	for range maxBased {
		one, ok := w.byID[id]
		if !ok {
			break
		}
		if style.outline < 0 {
			style.outline = one.outline
		}
		if style.list.id < 0 {
			style.list.id, style.deeper = one.list.id, one.deeper
		}
		if style.list.level < 0 {
			style.list.level = one.list.level
		}
		id = one.based
	}
	return style
}

// character returns a style of characters, with those that it is based on.
func (w *wordStyles) character(id string) wordStyle {
	var style wordStyle
	for range maxBased {
		one, ok := w.byID[id]
		if !ok {
			break
		}
		style.bold, style.italic = style.bold || one.bold, style.italic || one.italic
		id = one.based
	}
	return style
}
