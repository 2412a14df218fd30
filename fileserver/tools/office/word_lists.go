package office

import (
	"strconv"
	"strings"
)

// maxLevels is how deep lists nest in Word.
const maxLevels = 9

// A listItem is the list and the level that a paragraph or style belongs to; -1 for none.
type listItem struct{ id, level int }

// read reads the element numPr.
func (l *listItem) read(s *scanner) error {
	return s.each(func(element string) error {
		switch element {
		case "numId":
			l.id = s.number("val", -1)
		case "ilvl":
			l.level = s.number("val", -1)
		}
		return nil
	})
}

// A listLevel is how a level of a list is written.
type listLevel struct {
	kind, text string
	start      int
}

// An abstractList is what lists have in common, with their counters (section 17.9).
type abstractList struct {
	levels   [maxLevels]listLevel
	counters [maxLevels]int
	begun    [maxLevels]bool
}

// A wordList is a list. It may write some levels in its own way, and start anew.
type wordList struct {
	abstract *abstractList
	own      map[int]listLevel
	starts   map[int]int // by level, where it starts anew
}

// A label is what stands before an item of a list; its text is empty for none.
type label struct {
	text  string
	level int
}

// loadLists reads the lists.
func (w *wordStyles) loadLists(files *archive, file string) error {
	w.lists, w.abstracts = make(map[int]*wordList), make(map[int]*abstractList)
	return files.each(file, func(s *scanner, element string) error {
		switch element {
		case "abstractNum":
			made := &abstractList{}
			w.abstracts[s.number("abstractNumId", -1)] = made
			return s.each(func(element string) error {
				level := s.number("ilvl", -1)
				if element != "lvl" || level < 0 || level >= maxLevels {
					return nil
				}
				return made.levels[level].read(s)
			})
		case "num":
			made := &wordList{own: make(map[int]listLevel), starts: make(map[int]int)}
			w.lists[s.number("numId", -1)] = made
			return w.readList(s, made)
		}
		return nil
	})
}

func (w *wordStyles) readList(s *scanner, made *wordList) error {
	return s.each(func(element string) error {
		switch element {
		case "abstractNumId":
			made.abstract = w.abstracts[s.number("val", -1)]
		case "lvlOverride":
			level := s.number("ilvl", -1)
			if level < 0 || level >= maxLevels {
				return nil
			}
			return s.each(func(element string) error {
				switch element {
				case "startOverride":
					made.starts[level] = s.number("val", 1)
				case "lvl":
					var own listLevel
					err := own.read(s)
					made.own[level] = own
					return err
				}
				return nil
			})
		}
		return nil
	})
}

func (l *listLevel) read(s *scanner) error {
	l.start = 1
	return s.each(func(element string) error {
		switch element {
		case "start":
			l.start = s.number("val", 1)
		case "numFmt":
			l.kind = s.attr("val")
		case "lvlText":
			l.text = s.attr("val")
		}
		return nil
	})
}

// label counts an item, which says itself or by its style to which list it belongs, and returns what stands
// before it: "-" for a bullet, the number as it is written otherwise.
func (w *wordStyles) label(item listItem, style wordStyle) label {
	if item.id < 0 {
		item.id = style.list.id
	}
	shown := item.level
	if item.level <= 0 {
		shown = style.deeper
	}
	if item.level < 0 {
		item.level = max(style.list.level, 0)
		shown = max(shown, item.level)
	}
	list := w.lists[item.id]
	if list == nil || list.abstract == nil || item.level >= maxLevels {
		return label{}
	}
	level := list.level(item.level)
	if level.kind == "bullet" && strings.TrimSpace(level.text) == "" { // it goes on with the item before
		return label{}
	}
	if level.kind == "bullet" || level.kind == "" {
		return label{text: "-", level: shown}
	}
	list.count(item.level)
	text := level.text
	for i := range maxLevels {
		mark := "%" + strconv.Itoa(i+1)
		if strings.Contains(text, mark) {
			text = strings.ReplaceAll(text, mark, listNumber(list.level(i).kind, list.abstract.counters[i]))
		}
	}
	if text == "" {
		text = "-"
	}
	return label{text: text, level: shown}
}

func (l *wordList) level(i int) listLevel {
	if own, ok := l.own[i]; ok {
		return own
	}
	return l.abstract.levels[i]
}

// count counts an item of a level, after which deeper levels start anew.
func (l *wordList) count(level int) {
	a := l.abstract
	for i := 0; i <= level; i++ {
		if start, ok := l.starts[i]; ok {
			delete(l.starts, i)
			a.counters[i], a.begun[i] = start, i < level
		} else if !a.begun[i] {
			a.counters[i] = l.level(i).start
			a.begun[i] = i < level
		}
	}
	if a.begun[level] {
		a.counters[level]++
	}
	a.begun[level] = true
	for i := level + 1; i < maxLevels; i++ {
		a.begun[i] = false
	}
}
