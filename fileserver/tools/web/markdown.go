package web

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxSection is from which size on a section is ended where a block ends, in bytes.
	maxSection = 32 << 10
	// maxLink bounds a link's address that is told, in bytes.
	maxLink = 2048
)

// A section is what stands below a heading.
type section struct{ title, text string }

// A page is an HTML document as Markdown.
type page struct {
	title    string
	meta     map[string]string // by what the page calls it, in lower case
	sections []section
}

// A converter makes Markdown of the tokens of an HTML document, in one pass and without a tree, so that it
// takes time and memory in proportion to the document whatever is nested in it. What the tree would add, ends
// that are left out, is implied by what begins.
type converter struct {
	tokens  *html.Tokenizer
	xml     bool // an XHTML document: any element may be empty
	page    page
	title   string // of the section
	flow    *flow  // of the section
	table   *htmlTable
	run     run
	styles  [3]int // how many elements of each style are open
	heading int    // the rank of the heading that is open
	pre     *strings.Builder
	code    *strings.Builder
	lang    string // of the code in pre
}

// convert makes Markdown of an HTML document.
func convert(text string, xml bool) page {
	c := &converter{tokens: html.NewTokenizer(strings.NewReader(text)), xml: xml, flow: &flow{}}
	c.page.meta = make(map[string]string)
	c.tokens.AllowCDATA(xml)
	for {
		switch kind := c.tokens.Next(); kind {
		case html.ErrorToken:
			c.end()
			return c.page
		case html.TextToken:
			c.text(string(c.tokens.Text()))
		case html.StartTagToken, html.SelfClosingTagToken:
			c.tag(c.tokens.Token(), kind == html.SelfClosingTagToken)
		case html.EndTagToken:
			name, _ := c.tokens.TagName()
			c.stop(string(name))
		case html.CommentToken, html.DoctypeToken:
		}
	}
}

// tag takes a start tag, which ends itself in XML if it is empty.
func (c *converter) tag(token html.Token, empty bool) {
	if !empty || !c.xml {
		c.start(token)
		return
	}
	c.tokens.NextIsNotRawText()
	switch token.Data {
	case "script", "style", "template", "title":
	default:
		c.start(token)
		c.stop(token.Data)
	}
}

// end closes all that is open.
func (c *converter) end() {
	c.stop("pre")
	c.stop("code")
	c.flush()
	c.endTable()
	c.endSection("")
}

// text takes the text between two tags.
func (c *converter) text(text string) {
	switch {
	case c.pre != nil:
		c.pre.WriteString(text)
	case c.code != nil:
		c.code.WriteString(text)
	default:
		c.run.write(text, c.style())
	}
}

// style returns that of the text that comes. A heading is of no other style than its own.
func (c *converter) style() style {
	var s style
	for i, open := range c.styles {
		if open > 0 && c.heading == 0 {
			s |= 1 << i
		}
	}
	return s
}

// current returns the flow that blocks go to.
func (c *converter) current() *flow {
	if c.table != nil && c.table.cell != nil {
		return c.table.cell
	}
	return c.flow
}

// flush ends the block whose text was read.
func (c *converter) flush() {
	if c.pre != nil {
		return
	}
	text := c.run.end()
	if text == "" {
		return
	}
	if c.heading > 0 {
		text = strings.Join(strings.Fields(text), " ")
		if flow := c.current(); c.heading <= 2 && flow == c.flow && len(flow.stack) == 0 {
			c.endSection(text)
		}
		c.block(strings.Repeat("#", c.heading) + " " + text)
		return
	}
	c.block(literal(text))
}

// block writes a block, and ends the section where it has become too long for one.
func (c *converter) block(text string) {
	flow := c.current()
	flow.block(text)
	if flow == c.flow && len(flow.stack) == 0 && flow.text.Len() > maxSection {
		c.endSection(c.title)
	}
}

// endSection ends the section, and begins one with a title.
func (c *converter) endSection(title string) {
	if text := c.flow.text.String(); text != "" {
		c.page.sections = append(c.page.sections, section{title: c.title, text: text})
		c.flow = &flow{}
	}
	c.title = title
}

// literal returns a paragraph's text such that it does not begin as another kind of block does.
func literal(text string) string {
	for _, mark := range []string{"#", ">", "- ", "+ ", "* ", "```", "~~~"} {
		if strings.HasPrefix(text, mark) {
			return `\` + text
		}
	}
	return text
}

// endTable writes the table.
func (c *converter) endTable() {
	if c.table == nil {
		return
	}
	blocks := c.table.blocks()
	c.table = nil
	for _, block := range blocks {
		c.block(block)
	}
}

// startCell begins a cell of the table that is open. Where none is, the table was a page's layout.
func (c *converter) startCell(token html.Token) {
	if c.table == nil {
		return
	}
	columns, _ := strconv.Atoi(attribute(token, "colspan"))
	rows, _ := strconv.Atoi(attribute(token, "rowspan"))
	c.table.beginCell(columns, rows)
}

// startTable begins a table. One that is in another makes the other a layout, of which it is a block.
func (c *converter) startTable(token html.Token) {
	if c.table != nil {
		c.table.plain = c.table.plain || len(c.table.rows) == 0
		c.endTable()
	}
	role := attribute(token, "role")
	c.table = &htmlTable{plain: role == "presentation" || role == "none"}
}

// startPre begins text whose spaces and lines stay.
func (c *converter) startPre(token html.Token) {
	if c.pre == nil {
		c.flush()
		c.pre, c.lang = &strings.Builder{}, language(token)
	}
}

// endPre writes the text.
func (c *converter) endPre() {
	if c.pre == nil {
		return
	}
	text := strings.Trim(c.pre.String(), "\r\n")
	c.pre = nil
	if strings.TrimSpace(text) != "" {
		c.block(document.Code(c.lang, text))
	}
}

// language returns what a code element's class says of its language.
func language(token html.Token) string {
	for class := range strings.FieldsSeq(attribute(token, "class")) {
		if name, found := strings.CutPrefix(class, "language-"); found {
			return strings.Map(word, name)
		}
	}
	return ""
}

// word drops what a language's name does not have.
func word(r rune) rune {
	if r == '-' || r == '+' || r == '#' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return -1
}

// attribute returns an attribute's value, empty for none.
func attribute(token html.Token, name string) string {
	for _, a := range token.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
