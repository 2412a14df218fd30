package office

import (
	"strings"
)

// A look is how a piece of text looks.
type look struct {
	bold, italic, strike, hidden bool
	script                       string // "sup" or "sub"
	link                         string // an address
}

// A span is text that looks alike.
type span struct {
	look look
	text string
}

// A line collects the text of a paragraph.
type line struct {
	spans []span
	text  strings.Builder // of the last span
}

// add adds text.
func (l *line) add(text string, as look) {
	if text == "" {
		return
	}
	if last := len(l.spans) - 1; last < 0 || l.spans[last].look != as {
		l.end()
		l.spans = append(l.spans, span{look: as})
	}
	l.text.WriteString(text)
}

// end ends the last span.
func (l *line) end() {
	if last := len(l.spans) - 1; last >= 0 {
		l.spans[last].text = l.text.String()
	}
	l.text.Reset()
}

// plain returns the text without marks.
func (l *line) plain() string {
	l.end()
	var all strings.Builder
	for _, s := range l.spans {
		all.WriteString(s.text)
	}
	l.resume()
	return all.String()
}

// resume lets add go on after end.
func (l *line) resume() {
	if last := len(l.spans) - 1; last >= 0 {
		l.text.WriteString(l.spans[last].text)
	}
}

// markdown returns the text with its marks.
func (l *line) markdown() string {
	l.end()
	defer l.resume()
	var all strings.Builder
	for i := 0; i < len(l.spans); {
		link := l.spans[i].look.link
		var text strings.Builder
		for ; i < len(l.spans) && l.spans[i].look.link == link; i++ {
			text.WriteString(l.spans[i].marked())
		}
		all.WriteString(linked(text.String(), link))
	}
	return all.String()
}

// linked returns a text as a link to an address.
func linked(text, address string) string {
	if address == "" || strings.TrimSpace(text) == "" {
		return text
	}
	if strings.ContainsAny(address, " ()<>\n") {
		address = "<" + strings.NewReplacer("<", "%3C", ">", "%3E", "\n", "").Replace(address) + ">"
	}
	before, inner, after := trimmed(text)
	return before + "[" + inner + "](" + address + ")" + after
}

// marked returns the text in its marks, which stand at words and not at spaces.
func (s span) marked() string {
	before, text, after := trimmed(s.text)
	if text == "" {
		return s.text
	}
	if s.look.script != "" {
		text = "<" + s.look.script + ">" + text + "</" + s.look.script + ">"
	}
	if s.look.strike {
		text = "~~" + text + "~~"
	}
	if s.look.italic {
		text = "*" + text + "*"
	}
	if s.look.bold {
		text = "**" + text + "**"
	}
	if s.look.hidden {
		text = "[hidden: " + text + "]"
	}
	return before + text + after
}

// trimmed splits the spaces around a text from it.
func trimmed(text string) (string, string, string) {
	inner := strings.TrimLeft(text, " \t\n\u00a0")
	before := text[:len(text)-len(inner)]
	trim := strings.TrimRight(inner, " \t\n\u00a0")
	return before, trim, inner[len(trim):]
}

// picture returns the Markdown of a picture.
func picture(alt, file string) string {
	alt = strings.Join(strings.Fields(strings.NewReplacer("[", "(", "]", ")").Replace(alt)), " ")
	return "![" + alt + "](" + file + ")"
}

// indent returns what stands before an item of a list at a level, counted from 0.
func indent(level int) string { return strings.Repeat("   ", max(0, min(level, 8))) }
