package data

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxLines bounds the lines of one part of a text.
const maxLines = 400

// Text reads plain text and Markdown. Markdown begins a part at each of its upper two levels of headings.
func Text(in *document.Input, out *document.Output) error {
	text, encoding, err := decode(in.Data)
	if err != nil {
		return err
	}
	out.Property("encoding", encoding)
	out.Property("lines", strconv.Itoa(countLines(text)))
	p := &parts{in: in, out: out}
	switch strings.ToLower(path.Ext(in.Name)) {
	case ".md", ".markdown", ".mdown", ".mkd":
		return readMarkdown(p, text)
	}
	return readLines(p, text)
}

// decode returns a content as text, or says what it is instead.
func decode(content []byte) (text, encoding string, err error) {
	text, encoding = document.UTF8(content)
	if isBinary(text) {
		return "", "", document.Damaged("not text but %s: it begins with the bytes % x", binaryKind(content), content[:min(len(content), 16)])
	}
	return text, encoding, nil
}

// isBinary tells that a text has characters that none has: a zero, or more controls than one in ten.
func isBinary(text string) bool {
	controls := 0
	head := text[:min(len(text), 8192)]
	for i := range len(head) {
		switch c := head[i]; {
		case c == 0:
			return true
		case c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b:
			controls++
		}
	}
	return controls*10 > len(head)
}

// binaryKind names what begins a content.
func binaryKind(content []byte) string {
	for _, kind := range [][2]string{
		{"\x7fELF", "a program for Linux (ELF)"},
		{"MZ", "a program for Windows"},
		{"\xcf\xfa\xed\xfe", "a program for macOS"},
		{"\xca\xfe\xba\xbe", "a Java class or a program for macOS"},
		{"\x00asm", "a WebAssembly module"},
		{"%PDF-", "a PDF document"},
		{"\xd0\xcf\x11\xe0", "an old Office document (doc, xls, ppt)"},
		{"PAR1", "a Parquet file"},
		{"ARROW1", "an Arrow file"},
		{"\x89HDF", "an HDF5 file"},
		{"\x93NUMPY", "a NumPy array"},
		{"GGUF", "a GGUF model"},
		{"7z\xbc\xaf", "a 7z archive"},
		{"Rar!", "a RAR archive"},
		{"PK\x03\x04", "a ZIP archive"},
		{"wOF", "a font"},
		{"\x80\x02", "a Python pickle"},
		{"\x80\x03", "a Python pickle"},
		{"\x80\x04", "a Python pickle"},
		{"\x80\x05", "a Python pickle"},
	} {
		if bytes.HasPrefix(content, []byte(kind[0])) {
			return kind[1]
		}
	}
	return "binary data of an unknown kind"
}

// countLines counts as editors do: what is after the last line's end is a line if there is anything.
func countLines(text string) int {
	n := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		n++
	}
	return n
}

// readLines gives out a text that is no Markdown.
func readLines(p *parts, text string) error {
	return eachBlock(text, 1, maxLines, func(first, last int, block string) error {
		return p.add(fmt.Sprintf("lines %d-%d", first, last), "", func() string { return document.Code("", block) })
	})
}

// eachBlock calls do for pieces of a text of at most so many lines, and of a bounded size.
func eachBlock(text string, line, lines int, do func(first, last int, block string) error) error {
	for text != "" {
		first, end := line, 0
		for end < len(text) && line-first < lines {
			next := len(text)
			if i := strings.IndexByte(text[end:], '\n'); i >= 0 {
				next = end + i + 1
			}
			if end > 0 && next > maxPart {
				break
			}
			end = next
			line++
		}
		if err := do(first, line-1, text[:end]); err != nil {
			return err
		}
		text = text[end:]
	}
	return nil
}

// readMarkdown gives out the sections of a Markdown text.
func readMarkdown(p *parts, text string) error {
	line := 1
	for text != "" {
		title, section := cutSection(text)
		err := eachBlock(section, line, maxLines, func(first, last int, block string) error {
			return p.add(fmt.Sprintf("lines %d-%d", first, last), title, func() string { return block }, title)
		})
		if err != nil {
			return err
		}
		line += countLines(section)
		text = text[len(section):]
	}
	return nil
}

// cutSection returns the first section of a text: its heading, if it begins with one, and all up to the
// next heading that is not in a block of code.
func cutSection(text string) (title, section string) {
	fence := ""
	for at := 0; at < len(text); {
		line, _, _ := strings.Cut(text[at:], "\n")
		mark := strings.TrimLeft(line, " ")
		switch {
		case fence != "":
			if strings.HasPrefix(mark, fence) && strings.Trim(mark, fence[:1]+" \r") == "" {
				fence = ""
			}
		case strings.HasPrefix(mark, "```") || strings.HasPrefix(mark, "~~~"):
			fence = mark[:len(mark)-len(strings.TrimLeft(mark, mark[:1]))]
		case strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "## "):
			if at > 0 {
				return title, text[:at]
			}
			title = strings.Trim(line, "# \r")
		}
		at = min(len(text), at+len(line)+1)
	}
	return title, text
}
