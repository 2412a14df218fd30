// Package web reads documents that are written in markup, and messages: HTML, EPUB, RTF, mail, notebooks, XML.
package web

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxShort is up to which size a page is one part, in bytes of Markdown.
const maxShort = 16 << 10

// HTML reads a web page as Markdown. Scripts and styles are left out. A long page is given out in sections:
// one for each heading of the first two ranks, and more where there is no such heading for 32 KiB.
func HTML(in *document.Input, out *document.Output) error {
	text, encoding := decodeMarkup(in.Data)
	page := convert(text, isXHTML(in.Data))
	out.Property("title", page.title)
	out.Property("encoding", encoding)
	for property, names := range map[string][]string{
		"description": {"description", "og:description", "dc.description"},
		"author":      {"author", "article:author", "dc.creator"},
		"date":        {"article:published_time", "date", "dc.date", "dcterms.date"},
		"keywords":    {"keywords"},
	} {
		for _, name := range names {
			if value := page.meta[name]; value != "" {
				out.Property(property, value)
				break
			}
		}
	}
	sections := page.joined(maxShort)
	out.Property("sections", fmt.Sprint(len(sections)))
	for i, section := range sections {
		location := fmt.Sprintf("section %d", i+1)
		if !in.Parts.Wants(i+1, section.title) && !in.Parts.Wants(i+1, location) {
			continue
		}
		if err := out.Add(document.Part{Location: location, Title: section.title, Text: section.text}); err != nil {
			return err
		}
	}
	return nil
}

// isXHTML tells whether a document says that it is one of XML, in which any element may be empty.
func isXHTML(data []byte) bool {
	head := data[:min(len(data), declared)]
	return bytes.HasPrefix(bytes.TrimLeft(head, "\xef\xbb\xbf \r\n\t"), []byte("<?xml")) ||
		bytes.Contains(head, []byte("//DTD XHTML"))
}

// joined returns the page's sections, as one where all of them are no larger than a limit in bytes.
func (p page) joined(limit int) []section {
	size := 0
	for _, section := range p.sections {
		size += len(section.text) + 2
	}
	if size > limit || len(p.sections) < 2 {
		return p.sections
	}
	return []section{{title: p.title, text: p.text()}}
}

// text returns the whole page.
func (p page) text() string {
	texts := make([]string, len(p.sections))
	for i, section := range p.sections {
		texts[i] = section.text
	}
	return strings.Join(texts, "\n\n")
}
