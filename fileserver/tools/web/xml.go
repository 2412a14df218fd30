package web

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxXMLDepth bounds how deep elements are nested.
	maxXMLDepth = 1000
	// maxXMLIndent bounds how deep that is shown by spaces; deeper lines begin with their depth.
	maxXMLIndent = 24
	// maxPathName bounds each element's name in a part's title, in bytes.
	maxPathName = 60
	// maxLines and maxBytes bound a part.
	maxLines = 400
	maxBytes = 32 << 10
)

// An outline is an XML document as lines: an element's name, its attributes and its text, indented by two spaces
// for each element that it is in.
type outline struct {
	in      *document.Input
	out     *document.Output
	names   []string // of the elements that are open
	line    string   // of an element that began, and may have a text
	depth   int      // of that line
	text    strings.Builder
	part    strings.Builder
	path    string // of elements that the part begins in
	lines   int    // in the part
	before  int    // lines before the part
	parts   int
	damaged error
}

// XML reads an XML document as an outline that has all of it but the white space between elements, in parts of
// about 400 lines.
func XML(in *document.Input, out *document.Output) error {
	text, encoding := decodeMarkup(in.Data)
	out.Property("encoding", encoding)
	o := &outline{in: in, out: out}
	decoder := newDecoder(text)
	for {
		token, err := decoder.RawToken()
		if err != nil {
			return o.end(err)
		}
		if err := o.token(token); err != nil {
			return err
		}
		if len(o.names) > maxXMLDepth {
			return o.end(fmt.Errorf("elements are nested deeper than %d", maxXMLDepth))
		}
	}
}

// token takes a token of the document.
func (o *outline) token(token xml.Token) error {
	switch token := token.(type) {
	case xml.StartElement:
		if err := o.flush(); err != nil {
			return err
		}
		if len(o.names) == 0 {
			o.out.Property("root", fullName(token.Name))
		}
		o.line, o.depth = startLine(token), len(o.names)
		o.names = append(o.names, fullName(token.Name))
	case xml.EndElement:
		if err := o.flush(); err != nil {
			return err
		}
		o.leave(fullName(token.Name))
	case xml.CharData:
		o.text.Write(token)
	case xml.Comment:
		return o.note("<!--" + string(token) + "-->")
	case xml.ProcInst:
		if token.Target != "xml" {
			return o.note(strings.TrimSpace("<?"+token.Target+" "+string(token.Inst)) + "?>")
		}
	case xml.Directive:
		return o.note("<!" + string(token) + ">")
	}
	return nil
}

// leave ends the element that is open.
func (o *outline) leave(name string) {
	last := len(o.names) - 1
	if last < 0 || o.names[last] != name {
		if o.damaged == nil {
			o.damaged = document.Damaged("the element %q is ended where it is not open", name)
		}
	}
	if last >= 0 {
		o.names = o.names[:last]
	}
}

// startLine returns an element's line, without its text.
func startLine(start xml.StartElement) string {
	var b strings.Builder
	b.WriteString(fullName(start.Name))
	for _, a := range start.Attr {
		b.WriteString(" " + fullName(a.Name) + "=" + quoted(a.Value))
	}
	return b.String()
}

// quoted returns a value in quotes, on one line.
func quoted(value string) string {
	if !strings.ContainsAny(value, "\"\n\r") {
		return `"` + value + `"`
	}
	return `"` + strings.NewReplacer(`"`, "&quot;", "\n", "&#10;", "\r", "&#13;").Replace(value) + `"`
}

// fullName returns a name with its prefix. A raw token's namespace is the prefix.
func fullName(name xml.Name) string {
	if name.Space == "" {
		return name.Local
	}
	return name.Space + ":" + name.Local
}

// note writes what is no element on a line of its own.
func (o *outline) note(text string) error {
	if err := o.flush(); err != nil {
		return err
	}
	return o.write(len(o.names), text)
}

// flush writes the element that began with the text that followed, or a text that stands between elements.
func (o *outline) flush() error {
	text := strings.TrimSpace(o.text.String())
	o.text.Reset()
	line := o.line
	o.line = ""
	switch {
	case line == "" && text == "":
		return nil
	case line == "":
		return o.write(len(o.names), "| "+text)
	case text == "":
		return o.write(o.depth, line)
	case strings.ContainsRune(text, '\n'):
		if err := o.write(o.depth, line); err != nil {
			return err
		}
		return o.write(o.depth+1, "| "+strings.ReplaceAll(text, "\n", "\n| "))
	}
	return o.write(o.depth, line+": "+text)
}

// write writes lines at a depth.
func (o *outline) write(depth int, text string) error {
	indent := strings.Repeat("  ", min(depth, maxXMLIndent))
	if depth > maxXMLIndent {
		indent += fmt.Sprintf("(depth %d) ", depth)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if o.lines == 0 {
			o.path = pathOf(o.names[:min(depth, len(o.names), maxXMLIndent)])
		}
		o.part.WriteString(indent + strings.TrimRight(line, " \t\r") + "\n")
		if o.lines++; o.lines >= maxLines || o.part.Len() >= maxBytes {
			if err := o.give(); err != nil {
				return err
			}
		}
	}
	return nil
}

// pathOf returns a bounded line of the elements that a part begins in.
func pathOf(names []string) string {
	short := make([]string, len(names))
	for i, name := range names {
		short[i] = name[:min(len(name), maxPathName)]
	}
	return strings.ToValidUTF8(strings.Join(short, " > "), "")
}

// give gives out the part.
func (o *outline) give() error {
	if o.lines == 0 {
		return nil
	}
	o.parts++
	location := fmt.Sprintf("lines %d-%d", o.before+1, o.before+o.lines)
	text := o.part.String()
	o.before += o.lines
	o.lines = 0
	o.part.Reset()
	switch last := o.in.Parts.Last(); {
	case last > 0 && o.parts > last:
		return document.ErrEnough
	case !o.in.Parts.Wants(o.parts, location):
		return nil
	}
	return o.out.Add(document.Part{Location: location, Title: o.path, Text: document.Code("", text)})
}

// end gives out what is left, and tells why the document ended.
func (o *outline) end(cause error) error {
	if err := o.flush(); err != nil {
		return err
	}
	if err := o.give(); err != nil {
		return err
	}
	o.out.Property("lines", fmt.Sprint(o.before))
	switch {
	case !errors.Is(cause, io.EOF):
		return document.Damaged("%w", cause)
	case o.damaged != nil:
		return o.damaged
	case len(o.names) > 0:
		return document.Damaged("the element %q is not ended", o.names[len(o.names)-1])
	case o.before == 0:
		return document.Damaged("there is no element")
	}
	return nil
}
