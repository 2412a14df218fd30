package web

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// EPUB reads a book, as the EPUB 3.3 and OPF 2.0 specifications describe it: a part for each document of the
// spine, in its order, which is told as a chapter.
func EPUB(in *document.Input, out *document.Output) error {
	files, err := openArchive(in.Data)
	if err != nil {
		return err
	}
	book, err := openBook(files)
	if err != nil {
		return err
	}
	book.properties(out)
	var damage error
	for i, itemref := range book.Spine.Items {
		n := i + 1
		if last := in.Parts.Last(); last > 0 && n > last {
			break
		}
		of := book.item(itemref.ID)
		title := book.titles[of.path]
		location := fmt.Sprintf("chapter %d", n)
		if title != "" && !in.Parts.Wants(n, title) && !in.Parts.Wants(n, location) {
			continue
		}
		text, first, err := book.chapter(of)
		damage = cmp.Or(damage, err)
		title = cmp.Or(title, first)
		if text == "" || !in.Parts.Wants(n, title) && !in.Parts.Wants(n, location) {
			continue
		}
		if err := out.Add(document.Part{Location: location, Title: title, Text: text}); err != nil {
			return err
		}
	}
	return damage
}

// properties tells what the book says of itself.
func (b *book) properties(out *document.Output) {
	out.Property("title", strings.Join(b.Titles, "; "))
	out.Property("author", strings.Join(b.Creators, "; "))
	out.Property("language", strings.Join(b.Languages, ", "))
	out.Property("publisher", strings.Join(b.Publishers, "; "))
	out.Property("identifier", strings.Join(b.Identifiers, ", "))
	out.Property("description", convert(strings.Join(b.Descriptions, " "), false).text())
	out.Property("subject", strings.Join(b.Subjects, ", "))
	out.Property("rights", strings.Join(b.Rights, " "))
	if len(b.Dates) > 0 {
		out.Property("date", b.Dates[0])
	}
	out.Property("chapters", fmt.Sprint(len(b.Spine.Items)))
}

// chapter returns a document of the spine as Markdown, and its first heading. One that has nothing to read,
// such as a cover, is told by its type.
func (b *book) chapter(of manifestItem) (text, heading string, err error) {
	switch {
	case of.path == "":
		return "", "", document.Damaged("the spine names a document that the manifest does not have")
	case b.locked[of.path]:
		return "", "", fmt.Errorf("%q is encrypted", of.path)
	case of.Type != "" && !strings.Contains(of.Type, "html") && !strings.Contains(of.Type, "xml"):
		return fmt.Sprintf("(%s, %s)", of.path, of.Type), "", nil
	}
	data, err := b.files.read(of.path)
	markup, _ := decodeMarkup(data)
	page := convert(markup, true)
	for _, section := range page.sections {
		heading = cmp.Or(heading, section.title)
	}
	text = page.text()
	if text == "" && err == nil {
		text = "(nothing to read)"
	}
	return text, heading, err
}
