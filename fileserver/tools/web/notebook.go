package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// A notebook is a Jupyter notebook of format 4, or 3, whose cells stand in worksheets.
type notebook struct {
	Format     int `json:"nbformat"`
	Cells      []cell
	Worksheets []struct{ Cells []cell }
	Metadata   struct {
		Title    string
		Name     string // of format 3
		Authors  []struct{ Name string }
		Kernel   struct{ Language string }      `json:"kernelspec"`
		Language struct{ Name, Version string } `json:"language_info"`
	}
}

// A cell is one of a notebook.
type cell struct {
	Type        string                     `json:"cell_type"`
	Source      lines                      `json:"source"`
	Input       lines                      `json:"input"` // of format 3: of code
	Language    string                     `json:"language"`
	Level       int                        `json:"level"` // of format 3: of a heading
	Count       int                        `json:"execution_count"`
	Prompt      int                        `json:"prompt_number"`
	Outputs     []output                   `json:"outputs"`
	Attachments map[string]json.RawMessage `json:"attachments"`
}

// lines are a text, or a list of its lines.
type lines string

// UnmarshalJSON takes a string or a list of strings. What is neither is kept as it is.
func (l *lines) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*l = lines(text)
		return nil
	}
	var list []string
	if json.Unmarshal(data, &list) == nil {
		*l = lines(strings.Join(list, ""))
		return nil
	}
	*l = lines(data)
	return nil
}

// Notebook reads a Jupyter notebook: a part for each cell, with its outputs.
func Notebook(in *document.Input, out *document.Output) error {
	text, _ := document.UTF8(in.Data)
	var book notebook
	var odd *json.UnmarshalTypeError // a value that is not of its type is left out
	if err := json.Unmarshal([]byte(text), &book); err != nil && !errors.As(err, &odd) {
		return document.Damaged("no notebook: %w", err)
	}
	cells := book.Cells
	for _, sheet := range book.Worksheets {
		cells = append(cells, sheet.Cells...)
	}
	if book.Format == 0 && len(cells) == 0 {
		return document.Damaged("no notebook: it has neither nbformat nor cells")
	}
	language := cmp.Or(book.Metadata.Language.Name, book.Metadata.Kernel.Language)
	authors := make([]string, 0, len(book.Metadata.Authors))
	for _, author := range book.Metadata.Authors {
		authors = append(authors, author.Name)
	}
	out.Property("title", cmp.Or(book.Metadata.Title, book.Metadata.Name))
	out.Property("author", strings.Join(authors, ", "))
	out.Property("language", strings.TrimSpace(language+" "+book.Metadata.Language.Version))
	out.Property("cells", fmt.Sprint(len(cells)))
	for i, cell := range cells {
		location := fmt.Sprintf("cell %d", i+1)
		if !in.Parts.Wants(i+1, location) {
			continue
		}
		if err := out.Add(document.Part{Location: location, Title: cell.title(), Text: cell.text(language)}); err != nil {
			return err
		}
	}
	return nil
}

// title tells a cell's type, and of code when it was run.
func (c cell) title() string {
	if count := cmp.Or(c.Count, c.Prompt); c.Type == "code" && count > 0 {
		return fmt.Sprintf("code, run as %d", count)
	}
	return c.Type
}

// text returns a cell as Markdown.
func (c cell) text(language string) string {
	source := string(c.Source) + string(c.Input)
	switch c.Type {
	case "code":
		return c.code(cmp.Or(c.Language, language), source)
	case "heading":
		return strings.Repeat("#", min(max(c.Level, 1), 6)) + " " + source
	case "raw":
		return document.Code("", source)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Attachments)) {
		source += fmt.Sprintf("\n\n(attachment %s, %d bytes with its encoding)", name, len(c.Attachments[name]))
	}
	return source
}

// code returns code and what it put out.
func (c cell) code(language, source string) string {
	texts := []string{document.Code(strings.Map(word, language), source)}
	for _, output := range c.Outputs {
		if shown := output.text(); shown != "" {
			texts = append(texts, shown)
		}
	}
	return strings.Join(texts, "\n\n")
}
