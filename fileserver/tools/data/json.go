package data

import (
	"encoding/json"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// JSON reads a JSON document: its outline, and then its value in parts. Numbers stay as they are written.
func JSON(in *document.Input, out *document.Output) error {
	text, encoding, err := decode(in.Data)
	if err != nil {
		return err
	}
	if isLines(text) {
		return JSONLines(in, out)
	}
	out.Property("encoding", encoding)
	p := &parts{in: in, out: out}
	damage := error(nil)
	err = p.add("schema", "", func() string {
		outline := newJSONShaper()
		damage = (&jsonParser{text: text}).value(outline, 0)
		return document.Code("", outline.String())
	})
	if err != nil {
		return orElse(damage, err)
	}
	whole := &jsonParser{text: text}
	splitter := &jsonSplitter{parts: p, text: text}
	if err := splitter.split(whole, "$", 0); err != nil {
		return err
	}
	if kind, raw, err := whole.next(); err != nil || kind != 0 {
		return orElse(err, document.Damaged("after the value there is more: %q at byte %d", raw, whole.start))
	}
	return whole.odd
}

// isLines tells that a text is of values on lines, the first of which is an object or array on one line.
func isLines(text string) bool {
	first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	rest = strings.TrimSpace(rest)
	if rest == "" || rest[0] != '{' && rest[0] != '[' || first[0] != '{' && first[0] != '[' {
		return false
	}
	p := &jsonParser{text: first}
	if p.value(nil, 0) != nil {
		return false
	}
	kind, _, err := p.next()
	return kind == 0 && err == nil
}

// step returns a key as a step of a path.
func step(raw string) string {
	name := unquote(raw)
	for i := range len(name) {
		if c := name[i]; !isWord(c) && c != '_' && c < 0x80 || c == '.' {
			return "[" + raw + "]"
		}
	}
	if name == "" {
		return "[" + raw + "]"
	}
	return "." + name
}

// unquote returns the text of a string as it is written in JSON.
func unquote(raw string) string {
	var text string
	if err := json.Unmarshal([]byte(raw), &text); err != nil {
		return strings.Trim(raw, `"`)
	}
	return text
}
