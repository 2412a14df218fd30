package data

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// JSONLines reads values of JSON, one a line: the outline that they have in common, and then the lines. A
// line that is broken is said, and kept as it is.
func JSONLines(in *document.Input, out *document.Output) error {
	text, encoding, err := decode(in.Data)
	if err != nil {
		return err
	}
	out.Property("encoding", encoding)
	out.Property("lines", strconv.Itoa(countLines(text)))
	p := &parts{in: in, out: out}
	broken := &brokenLines{}
	err = p.add("schema", "", func() string {
		outline := newJSONShaper()
		broken.check(text, 1, outline)
		return document.Code("", outline.String())
	})
	if err == nil {
		err = eachBlock(text, 1, maxRows, func(first, last int, block string) error {
			return p.add(fmt.Sprintf("lines %d-%d", first, last), "", func() string {
				here := &brokenLines{}
				here.check(block, first, nil)
				if broken.count == 0 {
					broken.first = here.first
				}
				return here.String() + document.Code("json", block)
			})
		})
	}
	return orElse(broken.first, err)
}

// A brokenLines is the lines that are no JSON.
type brokenLines struct {
	said  strings.Builder
	count int
	first error
}

// check looks at the lines of a text, the first of which has a number, and adds them to an outline, which
// may be nil.
func (b *brokenLines) check(text string, number int, outline *jsonShaper) {
	for line := range strings.Lines(text) {
		if err := checkLine(line, outline); err != nil {
			b.note(number, err)
		}
		number++
	}
}

// checkLine tells what is wrong with a line. An empty one is right.
func checkLine(line string, outline *jsonShaper) error {
	if strings.TrimSpace(line) == "" {
		return nil
	}
	p := &jsonParser{text: line}
	var visit jsonVisitor
	if outline != nil {
		visit = outline
		defer outline.reset()
	}
	if err := p.value(visit, 0); err != nil {
		return err
	}
	if kind, raw, err := p.next(); err != nil || kind != 0 {
		return orElse(err, p.unexpected(kind, raw))
	}
	return p.odd
}

// saidLines bounds how many broken lines of a part are said one by one.
const saidLines = 20

func (b *brokenLines) note(number int, err error) {
	if b.count++; b.count == 1 {
		b.first = fmt.Errorf("line %d: %w", number, err)
	}
	if b.count <= saidLines {
		fmt.Fprintf(&b.said, "Line %d is broken: %s\n", number, strings.TrimPrefix(err.Error(), document.ErrFormat.Error()+": "))
	}
}

// String returns what is said before the lines.
func (b *brokenLines) String() string {
	switch {
	case b.count == 0:
		return ""
	case b.count > saidLines:
		return b.said.String() + fmt.Sprintf("... and %d more lines\n\n", b.count-saidLines)
	}
	return b.said.String() + "\n"
}
