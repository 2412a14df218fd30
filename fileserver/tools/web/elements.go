package web

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// start takes an element's start tag.
func (c *converter) start(token html.Token) {
	name := token.Data
	if c.startText(token) {
		return
	}
	if i := styleOf(name); i >= 0 {
		c.styles[i]++
		return
	}
	if !isBlock(name) {
		return
	}
	c.flush()
	flow := c.current()
	switch name {
	case "h1", "h2", "h3", "h4", "h5", "h6":
		c.heading = int(name[1] - '0')
	case "hr":
		c.block("---")
	case "blockquote":
		flow.push(container{kind: quotation})
	case "ul", "menu", "dl":
		flow.push(container{kind: list})
	case "ol":
		first, _ := strconv.Atoi(attribute(token, "start"))
		flow.push(container{kind: list, next: max(first, 1)})
	case "li":
		flow.item("")
	case "dd":
		flow.item(": ")
	case "dt":
		flow.pop(item)
	case "pre", "listing":
		c.startPre(token)
	case "table":
		c.startTable(token)
	case "tr":
		if c.table != nil {
			c.table.beginRow()
		}
	case "td", "th":
		c.startCell(token)
	}
}

// startText takes a start tag that is about text within a block, and tells whether it was one.
func (c *converter) startText(token html.Token) bool {
	switch token.Data {
	case "script", "style", "template":
		c.skip(token.Data)
	case "title":
		c.startTitle()
	case "noscript", "noframes", "noembed", "iframe":
		c.tokens.NextIsNotRawText()
	case "meta":
		c.meta(token)
	case "br":
		if c.pre != nil {
			c.pre.WriteByte('\n')
			break
		}
		c.run.lineBreak()
	case "img", "image":
		c.image(attribute(token, "alt"), strings.TrimSpace(attribute(token, "src")))
	case "a":
		if attribute(token, "role") == "doc-noteref" || attribute(token, "epub:type") == "noteref" {
			c.startLink(noteLink)
			break
		}
		c.startLink(attribute(token, "href"))
	case "code", "tt", "kbd", "samp":
		if c.pre != nil {
			c.lang = max(c.lang, language(token))
		} else if c.code == nil {
			c.code = &strings.Builder{}
		}
	case "sub", "sup":
		c.mark("<" + token.Data + ">")
	case "input":
		c.input(token)
	default:
		return false
	}
	return true
}

// stop takes an element's end tag.
func (c *converter) stop(name string) {
	if i := styleOf(name); i >= 0 {
		c.styles[i] = max(c.styles[i]-1, 0)
		return
	}
	switch name {
	case "a":
		c.run.endLink()
	case "code", "tt", "kbd", "samp":
		c.endCode()
	case "sub", "sup":
		c.mark("</" + name + ">")
	case "pre", "listing":
		c.endPre()
	}
	if !isBlock(name) {
		return
	}
	c.flush()
	flow := c.current()
	switch name {
	case "h1", "h2", "h3", "h4", "h5", "h6":
		c.heading = 0
	case "blockquote":
		flow.pop(quotation)
	case "ul", "ol", "menu", "dl":
		flow.pop(list)
	case "li", "dd":
		flow.pop(item)
	case "td", "th":
		if c.table != nil {
			c.table.endCell()
		}
	case "table":
		c.endTable()
	}
}

// endCode writes code that stands within a text.
func (c *converter) endCode() {
	if c.code != nil {
		c.run.code(c.code.String())
		c.code = nil
	}
}

// styleOf returns which style an element's text has, or -1.
func styleOf(name string) int {
	switch name {
	case "b", "strong":
		return 0
	case "s", "strike", "del":
		return 1
	case "i", "em", "cite", "var", "dfn":
		return 2
	}
	return -1
}

// isBlock tells whether an element begins and ends a block.
func isBlock(name string) bool {
	switch name {
	case "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details", "dialog", "dir",
		"div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frameset", "h1", "h2", "h3", "h4", "h5",
		"h6", "head", "header", "hgroup", "hr", "html", "legend", "li", "listing", "main", "menu", "nav", "ol", "optgroup",
		"option", "p", "pre", "search", "section", "select", "summary", "table", "tbody", "td", "textarea", "tfoot", "th",
		"thead", "tr", "ul":
		return true
	}
	return false
}
