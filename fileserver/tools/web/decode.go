package web

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// declared is how much of a document's beginning may declare its encoding, in bytes.
const declared = 4096

// decode returns a text of bytes that are declared to be of an encoding, whose label may be unknown, wrong
// or empty, and the encoding that they are of. What is valid UTF-8 beyond ASCII is UTF-8 whatever it is
// declared to be: by chance nothing else is, and who converts a file often forgets its declaration.
func decode(data []byte, label string) (text, encoding string) {
	found, name := charset.Lookup(label)
	switch {
	case found == nil, name == "utf-8", name == "replacement", hasMark(data):
		return document.UTF8(data)
	case strings.HasPrefix(name, "utf-16") && !bytes.Contains(data, []byte{0}):
		return document.UTF8(data)
	case bytes.ContainsFunc(data, beyondASCII) && utf8.Valid(data):
		return document.UTF8(data)
	}
	return decodeLabel(data, name), name
}

// decodeLabel returns a text of bytes that are of an encoding for sure.
func decodeLabel(data []byte, label string) string {
	if found, _ := charset.Lookup(label); found != nil {
		if decoded, err := found.NewDecoder().Bytes(data); err == nil {
			return strings.ToValidUTF8(string(decoded), "\uFFFD")
		}
	}
	text, _ := document.UTF8(data)
	return text
}

func beyondASCII(r rune) bool { return r >= utf8.RuneSelf }

// hasMark tells whether data has a byte order mark.
func hasMark(data []byte) bool {
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff", "\x00\x00\xfe\xff"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return true
		}
	}
	return false
}

// decodeMarkup returns the text of an HTML or XML document that says itself what its encoding is.
func decodeMarkup(data []byte) (text, encoding string) {
	head := bytes.ToLower(data[:min(len(data), declared)])
	mark := []byte("charset")
	if bytes.HasPrefix(bytes.TrimSpace(head), []byte("<?xml")) {
		head, _, _ = bytes.Cut(head, []byte("?>"))
		mark = []byte("encoding")
	}
	for {
		_, after, found := bytes.Cut(head, mark)
		if !found {
			return decode(data, "")
		}
		if label := value(after); label != "" {
			return decode(data, label)
		}
		head = after
	}
}

// value returns what stands after an equals sign, in quotes or not.
func value(text []byte) string {
	text, found := bytes.CutPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("="))
	if !found {
		return ""
	}
	text = bytes.TrimLeft(text, " \t\r\n\"'")
	if end := bytes.IndexAny(text, " \t\r\n\"';/>"); end >= 0 {
		text = text[:end]
	}
	return string(text)
}
