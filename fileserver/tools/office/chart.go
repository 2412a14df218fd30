package office

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxSeries is the most series that a chart has in Excel.
const maxSeries = 255

// A chart is what a chart shows (DrawingML, ECMA-376 part 1, section 21.2).
type chart struct {
	title  string
	kinds  []string
	series []series
}

// series are values with their names, by their place.
type series struct {
	name, from    string // the cells of its values
	names, values map[int]string
}

// chart returns a chart as Markdown: its title, kind and a table of its values.
func (a *archive) chart(name string) (string, error) {
	var c chart
	err := a.each(name, func(s *scanner, element string) error {
		if element != "chart" {
			return nil
		}
		return c.read(s)
	})
	return c.markdown(), err
}

func (c *chart) read(s *scanner) error {
	return s.each(func(element string) error {
		switch {
		case element == "title":
			title, err := paragraphs(s)
			c.title = cmp.Or(c.title, strings.Join(title, " "))
			return err
		case element == "ser":
			return c.readSeries(s)
		case strings.HasSuffix(element, "Chart"):
			c.kinds = append(c.kinds, strings.TrimSuffix(element, "Chart"))
			return c.read(s)
		case element == "plotArea":
			return c.read(s)
		default: // an axis has a title of its own
			return nil
		}
	})
}

func (c *chart) readSeries(s *scanner) error {
	var one series
	err := s.each(func(element string) error {
		var err error
		switch element {
		case "tx":
			var name map[int]string
			name, one.name, err = points(s)
			one.name = cmp.Or(name[0], one.name)
		case "cat", "xVal":
			one.names, _, err = points(s)
		case "val", "yVal":
			one.values, one.from, err = points(s)
		}
		return err
	})
	if len(c.series) < maxSeries {
		c.series = append(c.series, one)
	}
	return err
}

// points returns the values that are kept of a reference, by their place, and the cells that it refers to.
func points(s *scanner) (map[int]string, string, error) {
	found, from := make(map[int]string), ""
	var format *numberFormat
	var visit func(element string) error
	place := 0
	visit = func(element string) error {
		switch element {
		case "pt":
			place = s.number("idx", 0)
			return s.each(visit)
		case "f":
			text, err := s.content()
			from = cmp.Or(from, text)
			return err
		case "formatCode":
			code, err := s.content()
			format = parseFormat(code)
			return err
		case "v":
			text, err := s.content()
			if value, numberErr := strconv.ParseFloat(text, 64); numberErr == nil && format != nil && format.isDate() {
				text = format.show(value, false)
			}
			found[place] = text
			return err
		case "lvl": // of names in levels, the first is the innermost
			if len(found) > 0 {
				return nil
			}
		}
		return s.each(visit)
	}
	err := s.each(visit)
	return found, from, err
}

func (c *chart) markdown() string {
	text := "Chart"
	if len(c.kinds) > 0 {
		text += " (" + strings.Join(slices.Compact(c.kinds), ", ") + ")"
	}
	if c.title != "" {
		text += ": " + c.title
	}
	head := []string{""}
	places := make(map[int]string)
	for i, one := range c.series {
		head = append(head, cmp.Or(one.name, "Series "+strconv.Itoa(i+1)))
		for place := range one.values {
			if _, ok := places[place]; !ok {
				places[place] = one.names[place]
			}
		}
	}
	rows := [][]string{head}
	for _, place := range slices.Sorted(maps.Keys(places)) {
		row := []string{cmp.Or(places[place], strconv.Itoa(place+1))}
		for _, one := range c.series {
			row = append(row, one.values[place])
		}
		rows = append(rows, row)
	}
	if len(rows) == 1 {
		lines := []string{text}
		for i, one := range c.series {
			lines = append(lines, "- "+head[i+1]+": "+cmp.Or(one.from, "no values"))
		}
		return strings.Join(lines, "\n")
	}
	return text + "\n\n" + strings.TrimSpace(document.Table(rows))
}

// diagram returns the texts of a diagram (SmartArt) as a list.
func (a *archive) diagram(name string) (string, error) {
	s, readErr := a.scan(name)
	texts, err := paragraphs(s)
	if err == nil {
		err = readErr
	}
	if len(texts) == 0 {
		return "", fileError(name, err)
	}
	return "Diagram:\n- " + strings.Join(texts, "\n- "), fileError(name, err)
}

// paragraphs returns the texts of the paragraphs in the element that is open, without empty ones.
func paragraphs(s *scanner) ([]string, error) {
	var found []string
	var visit func(element string) error
	visit = func(element string) error {
		if element != "p" {
			return s.each(visit)
		}
		var text strings.Builder
		err := s.texts(&text)
		if joined := strings.Join(strings.Fields(text.String()), " "); joined != "" {
			found = append(found, joined)
		}
		return err
	}
	return found, s.each(visit)
}

// texts writes what is in the elements t, in the one that is open.
func (s *scanner) texts(to *strings.Builder) error {
	return s.each(func(element string) error {
		switch element {
		case "t":
			text, err := s.content()
			to.WriteString(text)
			return err
		case "br", "tab":
			to.WriteByte(' ')
			return nil
		default:
			return s.texts(to)
		}
	})
}
