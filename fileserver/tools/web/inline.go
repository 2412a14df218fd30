package web

import (
	"strings"
	"unicode"
)

// A style is a set of what text is shown as.
type style uint8

// The styles, in the order in which their marks nest.
const (
	bold style = 1 << iota
	struck
	italic
)

// mark is what stands before and after text of one style.
func (s style) mark() string {
	switch s {
	case bold:
		return "**"
	case struck:
		return "~~"
	default:
		return "*"
	}
}

// noteLink is a link that leads to a note.
const noteLink = "^"

// A run is the text of one block, as it grows. White space in it is one space, as in HTML.
type run struct {
	text  []byte
	open  style // whose marks are open
	space bool  // a space comes before the next character
	link  string
	start int // of the link's text, plus one; zero for no link
}

// write adds text of a style.
func (r *run) write(text string, want style) {
	for _, c := range text {
		switch {
		case c == '\u00ad' || c == '\u200b' || c == '\ufeff': // these show nothing
		case unicode.IsSpace(c):
			r.space = true
		default:
			r.turn(want)
			r.text = append(r.text, string(c)...)
		}
	}
}

// turn closes and opens marks so that the next character is of a style, with the space between them.
func (r *run) turn(want style) {
	keep := style(0)
	for _, one := range []style{bold, struck, italic} {
		if r.open&one != want&one {
			break
		}
		keep |= r.open & one
	}
	for _, one := range []style{italic, struck, bold} {
		if r.open&^keep&one != 0 {
			r.text = append(r.text, one.mark()...)
		}
	}
	if n := len(r.text); r.space && n > 0 && r.text[n-1] != '\n' && r.text[n-1] != ' ' {
		r.text = append(r.text, ' ')
	}
	r.space = false
	for _, one := range []style{bold, struck, italic} {
		if want&^keep&one != 0 {
			r.text = append(r.text, one.mark()...)
		}
	}
	r.open = want
}

// plain closes all marks, and keeps the space for what comes.
func (r *run) plain() {
	space := r.space
	r.space = false
	r.turn(0)
	r.space = space
}

// atom adds text as it is.
func (r *run) atom(text string) {
	r.turn(0)
	r.text = append(r.text, text...)
}

// code adds text in backticks, more of them than it has in a row.
func (r *run) code(text string) {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return
	}
	mark := strings.Repeat("`", longest(text, '`')+1)
	if len(mark) > 1 {
		text = " " + text + " "
	}
	r.atom(mark + text + mark)
}

// longest returns how often c stands in a row at most.
func longest(text string, c byte) int {
	most, now := 0, 0
	for i := range len(text) {
		if text[i] != c {
			now = 0
			continue
		}
		now++
		most = max(most, now)
	}
	return most
}

// lineBreak begins a line.
func (r *run) lineBreak() {
	r.space = false
	r.turn(0)
	if n := len(r.text); n > 0 && (n < 2 || r.text[n-1] != '\n' || r.text[n-2] != '\n') {
		r.text = append(r.text, '\n')
	}
}

// beginLink begins the text of a link.
func (r *run) beginLink(link string) {
	r.endLink()
	r.turn(0)
	r.link, r.start = link, len(r.text)+1
}

// endLink ends the text of a link, if there is one. A link without text has its address as text.
func (r *run) endLink() {
	if r.start == 0 {
		return
	}
	r.plain()
	text := strings.TrimSpace(string(r.text[r.start-1:]))
	r.text = r.text[:r.start-1]
	if text != "" {
		if r.link == noteLink {
			r.text = append(r.text, "[^"+text+"]"...)
		} else {
			r.text = append(r.text, "["+text+"]("+r.link+")"...)
		}
	}
	r.link, r.start = "", 0
}

// end returns the text and begins anew. A link goes on into the next block only while it has no text.
func (r *run) end() string {
	link := r.link
	empty := r.start > 0 && len(r.text) < r.start
	r.endLink()
	r.space = false
	r.turn(0)
	text := strings.TrimSpace(string(r.text))
	*r = run{text: r.text[:0]}
	if empty {
		r.link, r.start = link, 1
	}
	return text
}
