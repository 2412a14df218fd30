package office

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A cellStyle is how a cell looks.
type cellStyle struct {
	format *numberFormat // nil for none
	fill   string        // "#RRGGBB", empty for none
	colour string        // of its text, empty for black
}

// indexed are the colours by number, of old (section 18.8.27). The first eight are there twice.
const indexed = "000000FFFFFFFF000000FF000000FFFFFF00FF00FF00FFFF" +
	"000000FFFFFFFF000000FF000000FFFFFF00FF00FF00FFFF" +
	"800000008000000080808000800080008080C0C0C0808080" +
	"9999FF993366FFFFCCCCFFFF660066FF80800066CCCCCCFF" +
	"000080FF00FFFFFF0000FFFF800080800000008080" + "0000FF" +
	"00CCFFCCFFFFCCFFCCFFFF9999CCFFFF99CCCC99FFFFCC99" +
	"3366FF33CCCC99CC00FFCC00FF9900FF6600666699969696" +
	"003366339966003300333300993300993366333399333333"

// A palette makes colours of what a workbook refers to.
type palette struct{ theme []string }

// loadStyles reads what cells look like.
func (b *workbook) loadStyles(file, theme string) error {
	colours, themeErr := b.files.palette(theme)
	formats := make(map[int]*numberFormat)
	var fills, fonts []string
	err := b.files.each(file, func(s *scanner, element string) error {
		switch element {
		case "numFmts":
			return s.each(func(string) error {
				formats[s.number("numFmtId", -1)] = b.format(s.attr("formatCode"))
				return nil
			})
		case "fonts":
			return s.each(func(string) error {
				found, err := colours.find(s, "color")
				if found == "#000000" {
					found = ""
				}
				fonts = append(fonts, found)
				return err
			})
		case "fills":
			return s.each(func(string) error {
				found, err := colours.fill(s)
				fills = append(fills, found)
				return err
			})
		case "cellXfs":
			return s.each(func(string) error {
				b.styles = append(b.styles, b.style(s, formats, fills, fonts))
				return nil
			})
		}
		return nil
	})
	return errors.Join(err, themeErr)
}

func (b *workbook) format(code string) *numberFormat {
	f := parseFormat(code)
	f.date1904 = b.date1904
	return f
}

// style reads a cell's style.
func (b *workbook) style(s *scanner, formats map[int]*numberFormat, fills, fonts []string) cellStyle {
	id := s.number("numFmtId", 0)
	style := cellStyle{fill: at(fills, s.number("fillId", -1)), colour: at(fonts, s.number("fontId", -1)), format: formats[id]}
	if code := builtIn(id); style.format == nil && code != "" {
		formats[id] = b.format(code)
		style.format = formats[id]
	}
	return style
}

// at returns an item, the zero value for one that is not there.
func at[T any](list []T, i int) T {
	if i < 0 || i >= len(list) {
		var none T
		return none
	}
	return list[i]
}

// palette reads the colours of a theme, in the order in which a workbook counts them: light before dark.
func (a *archive) palette(file string) (palette, error) {
	var p palette
	err := a.each(file, func(s *scanner, element string) error {
		if element != "themeElements" {
			return nil
		}
		return s.each(func(element string) error {
			if element != "clrScheme" {
				return nil
			}
			return s.each(func(string) error {
				found := ""
				err := s.each(func(element string) error {
					found = s.attr("val")
					if element == "sysClr" {
						found = s.attr("lastClr")
					}
					return nil
				})
				p.theme = append(p.theme, found)
				return err
			})
		})
	})
	for i := 0; i+1 < min(len(p.theme), 4); i += 2 {
		p.theme[i], p.theme[i+1] = p.theme[i+1], p.theme[i]
	}
	return p, err
}

// fill returns the colour of the fill that is open: that of its pattern, or the first of a gradient.
func (p palette) fill(s *scanner) (string, error) {
	found := ""
	err := s.each(func(element string) error {
		kind := s.attr("patternType")
		var err error
		switch {
		case element == "patternFill" && kind != "" && kind != "none":
			found, err = p.find(s, "fgColor")
		case element == "gradientFill":
			err = s.each(func(string) error {
				colour, err := p.find(s, "color")
				if found == "" {
					found = colour
				}
				return err
			})
		}
		return err
	})
	return found, err
}

// find returns the colour that a child of the open element names.
func (p palette) find(s *scanner, child string) (string, error) {
	found := ""
	err := s.each(func(element string) error {
		if element == child {
			found = p.colour(s)
		}
		return nil
	})
	return found, err
}

// colour returns the colour of the element that is open.
func (p palette) colour(s *scanner) string {
	code := s.attr("rgb")
	if i := s.number("theme", -1); code == "" && i >= 0 {
		code = at(p.theme, i)
	}
	if i := s.number("indexed", -1); code == "" && i >= 0 && i < len(indexed)/6 {
		code = indexed[6*i : 6*i+6]
	}
	if len(code) == 8 {
		code = code[2:]
	}
	value, err := strconv.ParseUint(code, 16, 24)
	if err != nil || len(code) != 6 {
		return ""
	}
	tint, err := strconv.ParseFloat(s.attr("tint"), 64)
	if err != nil || tint == 0 || math.Abs(tint) > 1 {
		return "#" + strings.ToUpper(code)
	}
	return tinted(value, tint)
}

// tinted makes a colour lighter or darker by changing its lightness (section 18.8.19). With the hue and the
// saturation as they are, that is the same as moving every channel by the same share.
func tinted(colour uint64, tint float64) string {
	red, green, blue := float64(colour>>16&255)/255, float64(colour>>8&255)/255, float64(colour&255)/255
	top, bottom := max(red, green, blue), min(red, green, blue)
	light := (top + bottom) / 2
	chroma := 0.0
	if top > bottom {
		chroma = (top - bottom) / (1 - math.Abs(2*light-1))
	}
	changed := light * (1 + tint)
	if tint > 0 {
		changed = light*(1-tint) + tint
	}
	spread := chroma * (1 - math.Abs(2*changed-1))
	channel := func(value float64) uint8 {
		if top > bottom {
			value = changed + (value-light)/(top-bottom)*spread
		} else {
			value = changed
		}
		return uint8(math.Round(255 * max(0, min(1, value))))
	}
	return fmt.Sprintf("#%02X%02X%02X", channel(red), channel(green), channel(blue))
}
