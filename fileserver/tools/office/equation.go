package office

import "strings"

// equation returns a formula (OMML, ECMA-376 part 1, section 22.1) in one line, in the way of LaTeX.
func equation(s *scanner) (string, error) {
	text, err := mathRow(s)
	if text = strings.TrimSpace(text); text == "" {
		return "", err
	}
	return "$" + text + "$", err
}

// mathRow reads what is in the element that is open.
func mathRow(s *scanner) (string, error) {
	var row strings.Builder
	err := s.each(func(element string) error {
		text, err := mathPart(s, element)
		row.WriteString(text)
		return err
	})
	return row.String(), err
}

func mathPart(s *scanner, element string) (string, error) {
	switch element {
	case "t":
		return s.content()
	case "f", "sSup", "sSub", "sSubSup", "rad", "nary", "d", "func", "m", "limLow", "limUpp":
		return mathObject(s, element)
	case "rPr", "ctrlPr", "del", "moveFrom":
		return "", nil
	default:
		return mathRow(s)
	}
}

// mathObject reads an object by the names of its parts.
func mathObject(s *scanner, kind string) (string, error) {
	parts := make(map[string]string)
	var items []string // those that may be several
	err := s.each(func(element string) error {
		if strings.HasSuffix(element, "Pr") {
			return s.each(func(element string) error {
				parts[element] = s.attr("val")
				return nil
			})
		}
		text, err := mathRow(s)
		parts[element] = text
		if element == "mr" || kind == "d" {
			items = append(items, text)
		}
		return err
	})
	e := parts["e"]
	switch kind {
	case "f":
		return `\frac{` + parts["num"] + "}{" + parts["den"] + "}", err
	case "sSup":
		return e + "^{" + parts["sup"] + "}", err
	case "sSub":
		return e + "_{" + parts["sub"] + "}", err
	case "sSubSup":
		return e + "_{" + parts["sub"] + "}^{" + parts["sup"] + "}", err
	case "rad":
		if parts["deg"] != "" {
			return `\sqrt[` + parts["deg"] + "]{" + e + "}", err
		}
		return `\sqrt{` + e + "}", err
	case "nary":
		sign := parts["chr"]
		if sign == "" {
			sign = "∫"
		}
		return sign + "_{" + parts["sub"] + "}^{" + parts["sup"] + "}{" + e + "}", err
	case "d":
		return or(parts, "begChr", "(") + strings.Join(items, or(parts, "sepChr", "|")) + or(parts, "endChr", ")"), err
	case "func":
		return parts["fName"] + "(" + e + ")", err
	case "m":
		return "[" + strings.Join(items, "; ") + "]", err
	default: // a limit
		return e + "_{" + parts["lim"] + "}", err
	}
}

// or returns a part that may be empty on purpose, otherwise what it is where nothing is said.
func or(parts map[string]string, name, otherwise string) string {
	if text, ok := parts[name]; ok {
		return text
	}
	return otherwise
}
