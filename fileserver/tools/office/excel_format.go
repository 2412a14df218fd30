package office

import (
	"math"
	"strconv"
	"strings"
)

// A numberFormat is how a workbook shows numbers: up to four sections, for positive, negative, zero and text
// (ECMA-376 part 1, section 18.8.31).
type numberFormat struct {
	sections []formatSection
	date1904 bool
}

// A formatSection is one section of a number format.
type formatSection struct {
	prefix, suffix   string
	pattern          string // placeholders of digits before the point, with what is written between them
	decimals         int    // at most
	needed           int    // of them are shown even where they are 0
	thousands        bool
	percents         int
	scale            int // commas at the end: each is a division by 1,000
	exponent         bool
	general, isText  bool
	fraction         bool
	day, time, total bool // it shows a date, a time of day, an elapsed time
	second           bool
	compare          string // "<", ">=" … to limit
	limit            float64
}

// builtIn are the formats that have numbers and no text in the file (section 18.8.30).
func builtIn(id int) string {
	switch {
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id >= 57 && id <= 58:
		return "yyyy-mm-dd"
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id == 55, id == 56:
		return "hh:mm:ss"
	case id >= 5 && id <= 8, id >= 41 && id <= 44:
		return [...]string{"#,##0", "#,##0.00"}[map[int]int{7: 1, 8: 1, 43: 1, 44: 1}[id]]
	}
	return map[int]string{
		1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
		22: "yyyy-mm-dd hh:mm", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)",
		45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
	}[id]
}

// isDate tells whether the format shows numbers as dates or times.
func (f *numberFormat) isDate() bool {
	return len(f.sections) > 0 && (f.sections[0].day || f.sections[0].time || f.sections[0].total)
}

// show returns a number as the format shows it, but for dates and times, which are shown by ISO 8601, and
// fractions, which are shown as decimals. With exact, a number that is rounded so is followed by itself.
func (f *numberFormat) show(value float64, exact bool) string {
	section, shown := f.section(value)
	if section == nil || section.general || section.isText || section.fraction || math.IsInf(value, 0) || math.IsNaN(value) {
		return plainNumber(value)
	}
	if section.day || section.time || section.total {
		return f.showTime(value, section)
	}
	text := section.number(shown)
	if exact && section.rounds(value) {
		text += " [" + plainNumber(value) + "]"
	}
	return text
}

// section returns the section for a number, and the number that it shows: one of its own for negative
// numbers shows them without their sign.
func (f *numberFormat) section(value float64) (*formatSection, float64) {
	for i := range f.sections {
		if s := &f.sections[i]; s.compare != "" && s.meets(value) {
			return s, value
		}
	}
	count := len(f.sections)
	switch {
	case count == 0:
		return nil, value
	case f.sections[0].compare != "":
		return &f.sections[min(count-1, 2)], value
	case value < 0 && count > 1:
		return &f.sections[1], -value
	case value == 0 && count > 2:
		return &f.sections[2], value
	default:
		return &f.sections[0], value
	}
}

func (s *formatSection) meets(value float64) bool {
	switch s.compare {
	case "<":
		return value < s.limit
	case "<=":
		return value <= s.limit
	case ">":
		return value > s.limit
	case ">=":
		return value >= s.limit
	case "=":
		return value == s.limit
	default:
		return value != s.limit
	}
}

// rounds tells whether the section does not show the whole of a number.
func (s *formatSection) rounds(value float64) bool {
	if s.exponent || s.scale > 0 || s.pattern == "" {
		return true
	}
	shown := strconv.FormatFloat(value, 'f', s.decimals+2*s.percents, 64)
	rounded, err := strconv.ParseFloat(shown, 64)
	return err != nil || plainNumber(rounded) != plainNumber(value)
}

func (s *formatSection) number(value float64) string {
	if s.pattern == "" && s.decimals == 0 {
		return strings.TrimSpace(s.prefix + s.suffix)
	}
	value *= math.Pow(100, float64(s.percents)) / math.Pow(1000, float64(s.scale))
	sign := ""
	if value < 0 {
		sign, value = "-", -value
	}
	var text string
	if s.exponent {
		text = strconv.FormatFloat(value, 'E', s.decimals, 64)
	} else {
		text = s.digits(value)
	}
	if sign != "" && strings.Trim(text, "0.,") == "" {
		sign = ""
	}
	return strings.TrimSpace(sign + s.prefix + text + s.suffix)
}

// digits returns a number that is not negative.
func (s *formatSection) digits(value float64) string {
	// Fifteen digits are what a workbook keeps; so half is rounded up as a person sees it.
	if seen, err := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 15, 64), 64); err == nil {
		value = math.Nextafter(seen, math.Inf(1))
	}
	whole, part, _ := strings.Cut(strconv.FormatFloat(value, 'f', s.decimals, 64), ".")
	for len(part) > s.needed && strings.HasSuffix(part, "0") {
		part = part[:len(part)-1]
	}
	if whole == "0" && !strings.Contains(s.pattern, "0") && part != "" {
		whole = ""
	}
	whole = s.fill(whole)
	if part == "" {
		return whole
	}
	return whole + "." + part
}

// fill puts the digits of a whole number into the pattern, from its end.
func (s *formatSection) fill(whole string) string {
	if s.thousands {
		return grouped(whole)
	}
	made := make([]byte, 0, len(whole)+len(s.pattern))
	left := len(whole)
	first := strings.IndexAny(s.pattern, "0#?")
	for i := len(s.pattern) - 1; i >= 0; i-- {
		switch c := s.pattern[i]; {
		case c != '0' && c != '#' && c != '?':
			made = append(made, c)
		case left > 0:
			left--
			made = append(made, whole[left])
		case c == '0':
			made = append(made, '0')
		}
		for ; i == first && left > 0; left-- {
			made = append(made, whole[left-1])
		}
	}
	for i, j := 0, len(made)-1; i < j; i, j = i+1, j-1 {
		made[i], made[j] = made[j], made[i]
	}
	return string(made)
}

func grouped(whole string) string {
	var made strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			made.WriteByte(',')
		}
		made.WriteRune(digit)
	}
	return made.String()
}

// plainNumber returns a number as a cell without a format holds it: in fifteen digits.
func plainNumber(value float64) string {
	if seen, err := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 15, 64), 64); err == nil {
		value = seen
	}
	if value == 0 {
		return "0" // and not -0
	}
	if size := math.Abs(value); size < 1e-9 || size >= 1e21 {
		return strconv.FormatFloat(value, 'E', -1, 64)
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}
