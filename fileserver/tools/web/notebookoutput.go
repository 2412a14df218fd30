package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// An output is what a cell's code put out.
type output struct {
	Type      string                     `json:"output_type"`
	Stream    string                     `json:"name"`
	Stream3   string                     `json:"stream"`
	Name      string                     `json:"ename"`
	Value     string                     `json:"evalue"`
	Traceback []string                   `json:"traceback"`
	Data      map[string]json.RawMessage `json:"data"`
	// Format 3 has the data by short names beside the others, and a stream's name by another; text is also a stream's.
	Text       lines `json:"text"`
	HTML       lines `json:"html"`
	PNG        lines `json:"png"`
	JPEG       lines `json:"jpeg"`
	SVG        lines `json:"svg"`
	Latex      lines `json:"latex"`
	JSON       lines `json:"json"`
	JavaScript lines `json:"javascript"`
}

// text returns an output as Markdown.
func (o output) text() string {
	switch o.Type {
	case "stream":
		return labelled(strings.TrimSpace("Output "+o.Stream+o.Stream3), string(o.Text))
	case "error", "pyerr":
		return labelled("Error "+o.Name+": "+o.Value, strings.Join(o.Traceback, "\n"))
	}
	data := make(map[string]string)
	for kind, content := range o.Data {
		var text lines
		if json.Unmarshal(content, &text) == nil {
			data[kind] = string(text)
		}
	}
	for kind, text := range map[string]lines{
		"text/plain": o.Text, "text/html": o.HTML, "image/png": o.PNG, "image/jpeg": o.JPEG, "image/svg+xml": o.SVG,
		"text/latex": o.Latex, "application/json": o.JSON, "application/javascript": o.JavaScript,
	} {
		if text != "" {
			data[kind] = string(text)
		}
	}
	return shown(data)
}

// shown returns what was put out in several forms: its text in the best of them, and that there are others.
func shown(data map[string]string) string {
	var texts []string
	switch {
	case data["text/markdown"] != "":
		texts = append(texts, data["text/markdown"])
	case data["text/plain"] != "":
		texts = append(texts, labelled("Result", data["text/plain"]))
	case data["text/html"] != "":
		texts = append(texts, convert(data["text/html"], false).text())
	case data["text/latex"] != "":
		texts = append(texts, data["text/latex"])
	}
	for _, kind := range slices.Sorted(maps.Keys(data)) {
		switch {
		case strings.HasPrefix(kind, "text/"):
		case strings.HasPrefix(kind, "image/") && kind != "image/svg+xml":
			texts = append(texts, fmt.Sprintf("(%s, %d bytes)", kind, len(strings.TrimSpace(data[kind]))/4*3))
		default:
			texts = append(texts, fmt.Sprintf("(%s, %d bytes)", kind, len(data[kind])))
		}
	}
	return strings.Join(texts, "\n\n")
}

// labelled returns a text as it was printed, below what it is.
func labelled(label, text string) string {
	text = plainTerminal(text)
	if strings.TrimSpace(text) == "" {
		return plainTerminal(label)
	}
	return plainTerminal(label) + ":\n\n" + document.Code("", text)
}

// plainTerminal leaves out the escape sequences that colour a terminal's text (ECMA-48, "CSI").
func plainTerminal(text string) string {
	var b bytes.Buffer
	for {
		before, after, found := strings.Cut(text, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		end := strings.IndexFunc(after, func(r rune) bool { return r < ' ' || r >= '@' })
		if end < 0 {
			return b.String()
		}
		text = after[end+1:]
		if after[end] < '@' || after[end] > '~' {
			text = after[end:]
		}
	}
}
