package web

import (
	"fmt"
	"strings"

	"golang.org/x/net/html"
)

// skip leaves out an element's content. An element in which another of its name stands ends with the first end.
func (c *converter) skip(name string) {
	for {
		switch c.tokens.Next() {
		case html.ErrorToken:
			return
		case html.EndTagToken:
			if end, _ := c.tokens.TagName(); string(end) == name {
				return
			}
		default:
		}
	}
}

// startTitle takes the page's title. Images have titles too, of which only the first of all is the page's.
func (c *converter) startTitle() {
	if c.page.title == "" && c.tokens.Next() == html.TextToken {
		c.page.title = strings.Join(strings.Fields(string(c.tokens.Text())), " ")
	}
}

// meta takes what the page says of itself.
func (c *converter) meta(token html.Token) {
	key := strings.ToLower(attribute(token, "name") + attribute(token, "property"))
	if _, known := c.page.meta[key]; key != "" && !known && len(c.page.meta) < 100 {
		c.page.meta[key] = attribute(token, "content")
	}
}

// image writes an image. One whose data is in the page is told by its type and size.
func (c *converter) image(alt, source string) {
	if c.pre != nil || c.code != nil {
		return
	}
	alt = strings.Join(strings.Fields(alt), " ")
	if kind, data, inside := strings.Cut(source, ","); inside && len(kind) < 100 && strings.HasPrefix(strings.ToLower(kind), "data:") {
		source = fmt.Sprintf("%s, %d bytes", kind, len(data))
	}
	if source == "" && alt == "" {
		return
	}
	c.run.atom("![" + alt + "](" + bounded(source) + ")")
}

// startLink begins a link, if it leads anywhere else.
func (c *converter) startLink(address string) {
	address = strings.TrimSpace(address)
	script := strings.HasPrefix(strings.ToLower(address), "javascript:")
	if c.pre != nil || c.code != nil {
		return
	}
	c.run.endLink()
	if address != "" && !script && !strings.HasPrefix(address, "#") {
		c.run.beginLink(bounded(address))
	}
}

// bounded returns an address that fits a line and can stand in parentheses.
func bounded(address string) string {
	if len(address) > maxLink {
		address = strings.ToValidUTF8(address[:maxLink], "") + "…"
	}
	if !strings.ContainsAny(address, " \n\r\t()") {
		return address // as most are, and to make a replacer takes long
	}
	return strings.NewReplacer(" ", "%20", "\n", "", "\r", "", "\t", "", "(", "%28", ")", "%29").Replace(address)
}

// mark writes a tag that Markdown has no mark for.
func (c *converter) mark(tag string) {
	if c.pre == nil && c.code == nil {
		c.run.atom(tag)
	}
}

// input writes what a field of a form holds.
func (c *converter) input(token html.Token) {
	checked := "[ ]"
	for _, a := range token.Attr {
		if a.Key == "checked" {
			checked = "[x]"
		}
	}
	switch kind := strings.ToLower(attribute(token, "type")); kind {
	case "checkbox", "radio":
		c.run.atom(checked)
		c.run.space = true
	case "hidden", "password", "image":
	default:
		c.text(" " + attribute(token, "value") + " ")
	}
}
