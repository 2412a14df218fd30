package office

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxDepth bounds how deep elements nest.
	maxDepth = 1_000
	// maxNames bounds the names of elements that are kept, so that each is made once.
	maxNames = 4_096
)

// A scanner reads XML in memory. It is some thirty times as fast as encoding/xml under WebAssembly, where
// that took half a minute for a sheet of 60,000 rows, since it copies only what is asked for. It knows
// elements, attributes, text and CDATA, and of entities only those of XML itself, so that nothing expands.
// Names are without their prefix: one that two vocabularies share means the same to the readers.
type scanner struct {
	data  []byte
	at    int
	stack []string // the elements that are open
	empty bool     // the last one opened is to be closed
	tag   []byte   // the attributes of the last one opened
	text  []byte   // the last text, as it is written
	plain bool     // it is CDATA
	names map[string]string
}

// kinds of what a scanner finds.
type token int

const (
	tokenEnd token = iota // of the file
	tokenOpen
	tokenClose
	tokenText
)

func newScanner(data []byte) *scanner {
	return &scanner{data: data, names: make(map[string]string)}
}

// next finds the next token.
func (s *scanner) next() (token, error) {
	if s.empty {
		s.empty = false
		s.stack = s.stack[:len(s.stack)-1]
		return tokenClose, nil
	}
	for s.at < len(s.data) {
		rest := s.data[s.at:]
		if rest[0] != '<' {
			length := bytes.IndexByte(rest, '<')
			if length < 0 {
				length = len(rest)
			}
			s.text, s.plain = rest[:length], false
			s.at += length
			return tokenText, nil
		}
		switch rest[min(1, len(rest)-1)] {
		case '/':
			return s.closing()
		case '?':
			s.pass("?>")
		case '!':
			if s.declaration(rest) {
				return tokenText, nil
			}
		default:
			return s.opening()
		}
	}
	if len(s.stack) > 0 {
		return tokenEnd, document.Damaged("the XML ends within <%s>", s.stack[len(s.stack)-1])
	}
	return tokenEnd, nil
}

// declaration passes what begins with <!, and tells whether it was text.
func (s *scanner) declaration(rest []byte) bool {
	switch {
	case bytes.HasPrefix(rest, []byte("<!--")):
		s.pass("-->")
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		start := s.at + len("<![CDATA[")
		s.pass("]]>")
		s.text, s.plain = bytes.TrimSuffix(s.data[start:s.at], []byte("]]>")), true
		return true
	case bytes.HasPrefix(rest, []byte("<!DOCTYPE")) && bytes.IndexByte(rest, '[') >= 0 && bytes.IndexByte(rest, '[') < bytes.IndexByte(rest, '>'):
		s.pass("]") // of entities, which are not for us
		s.pass(">")
	default:
		s.pass(">")
	}
	return false
}

// pass goes to behind a mark, or to the end.
func (s *scanner) pass(mark string) {
	length := bytes.Index(s.data[s.at:], []byte(mark))
	if length < 0 {
		s.at = len(s.data)
		return
	}
	s.at += length + len(mark)
}

func (s *scanner) closing() (token, error) {
	length := bytes.IndexByte(s.data[s.at:], '>')
	if length < 0 {
		return tokenEnd, document.Damaged("the XML ends within a tag")
	}
	name := localName(bytes.TrimSpace(s.data[s.at+2 : s.at+length]))
	s.at += length + 1
	if len(s.stack) == 0 || s.stack[len(s.stack)-1] != string(name) {
		return tokenEnd, document.Damaged("the XML closes <%.40s>, which is not open", name)
	}
	s.stack = s.stack[:len(s.stack)-1]
	return tokenClose, nil
}

func (s *scanner) opening() (token, error) {
	end := tagEnd(s.data[s.at:])
	if end < 0 {
		return tokenEnd, document.Damaged("the XML ends within a tag")
	}
	tag := s.data[s.at+1 : s.at+end]
	s.at += end + 1
	s.empty = len(tag) > 0 && tag[len(tag)-1] == '/'
	if s.empty {
		tag = tag[:len(tag)-1]
	}
	length := bytes.IndexAny(tag, " \t\r\n")
	if length < 0 {
		length = len(tag)
	}
	s.tag = tag[length:]
	if len(s.stack) >= maxDepth {
		return tokenEnd, document.Damaged("the XML nests more than %d elements", maxDepth)
	}
	s.stack = append(s.stack, s.name(localName(tag[:length])))
	return tokenOpen, nil
}

// tagEnd finds the > of a tag, which is not in an attribute.
func tagEnd(tag []byte) int {
	var quote byte
	for i, c := range tag {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i
		}
	}
	return -1
}

// name returns a name, which is made once.
func (s *scanner) name(name []byte) string {
	if known, ok := s.names[string(name)]; ok {
		return known
	}
	made := string(name)
	if len(s.names) < maxNames {
		s.names[made] = made
	}
	return made
}

func localName(name []byte) []byte { return name[bytes.IndexByte(name, ':')+1:] }

// attr returns an attribute of the element that was last opened, empty for none. One with a prefix is found
// where it is asked for with any: ":id".
func (s *scanner) attr(name string) string {
	prefixed := strings.HasPrefix(name, ":")
	name = strings.TrimPrefix(name, ":")
	rest := s.tag
	for {
		equals := bytes.IndexByte(rest, '=')
		if equals < 0 {
			return ""
		}
		key := bytes.TrimSpace(rest[:equals])
		rest = bytes.TrimLeft(rest[equals+1:], " \t\r\n")
		if len(rest) == 0 {
			return ""
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return ""
		}
		value := rest[1 : end+1]
		rest = rest[end+2:]
		if string(localName(key)) == name && (!prefixed || bytes.IndexByte(key, ':') >= 0) {
			return unescape(value)
		}
	}
}

// number returns an attribute that is a whole number, otherwise what it is without it.
func (s *scanner) number(name string, otherwise int) int {
	text := s.attr(name)
	if text == "" {
		return otherwise
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

// flag tells whether an attribute switches something on, otherwise what it is without it.
func (s *scanner) flag(name string, otherwise bool) bool {
	switch s.attr(name) {
	case "":
		return otherwise
	case "0", "false", "off":
		return false
	default:
		return true
	}
}

// each visits the children of the element that is open, before the root is: the root. What a visit leaves unread of its own is skipped.
func (s *scanner) each(visit func(name string) error) error {
	depth := len(s.stack)
	for {
		found, err := s.next()
		if err != nil {
			return err
		}
		switch found {
		case tokenEnd:
			return nil
		case tokenClose:
			if len(s.stack) < depth {
				return nil
			}
		case tokenOpen:
			if err := visit(s.stack[len(s.stack)-1]); err != nil {
				return err
			}
			if err := s.leave(depth); err != nil {
				return err
			}
		case tokenText:
		}
	}
}

// leave skips to where no more than depth elements are open.
func (s *scanner) leave(depth int) error {
	for len(s.stack) > depth {
		if found, err := s.next(); err != nil || found == tokenEnd {
			return err
		}
	}
	return nil
}

// content returns the text in the element that is open, and in its children.
func (s *scanner) content() (string, error) {
	depth := len(s.stack)
	var first string
	var all strings.Builder
	for {
		found, err := s.next()
		if err != nil {
			return first + all.String(), err
		}
		switch found {
		case tokenEnd:
			return first + all.String(), nil
		case tokenClose:
			if len(s.stack) >= depth {
				continue
			}
			if all.Len() == 0 {
				return first, nil
			}
			return first + all.String(), nil
		case tokenText:
			text := s.written()
			if first == "" {
				first = text
				continue
			}
			all.WriteString(text)
		case tokenOpen:
		}
	}
}

// written returns the last text.
func (s *scanner) written() string {
	if s.plain {
		return string(s.text)
	}
	return unescape(s.text)
}

// unescape replaces XML's own entities and characters by number. Others stay as they are.
func unescape(text []byte) string {
	next := bytes.IndexByte(text, '&')
	if next < 0 {
		return string(text)
	}
	made := make([]byte, 0, len(text))
	for next >= 0 {
		made = append(made, text[:next]...)
		text = text[next:]
		end := bytes.IndexByte(text[:min(len(text), 12)], ';')
		char := rune(-1)
		if end > 0 {
			char = entity(string(text[1:end]))
		}
		if char < 0 {
			made, text = append(made, '&'), text[1:]
		} else {
			made, text = utf8.AppendRune(made, char), text[end+1:]
		}
		next = bytes.IndexByte(text, '&')
	}
	return string(append(made, text...))
}

func entity(name string) rune {
	switch name {
	case "amp":
		return '&'
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "quot":
		return '"'
	case "apos":
		return '\''
	}
	digits, base := strings.TrimPrefix(name, "#"), 10
	if digits == name {
		return -1
	}
	if hex := strings.TrimPrefix(strings.ToLower(digits), "x"); len(hex) < len(digits) {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil {
		return -1
	}
	return rune(n)
}

// utf8Text returns an XML file in UTF-8, which it may be in UTF-16 by its byte order mark.
func utf8Text(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	}
	made := make([]byte, 0, len(data))
	for i := 2; i+1 < len(data); i += 2 {
		char := rune(order.Uint16(data[i:]))
		if utf16.IsSurrogate(char) && i+3 < len(data) {
			if pair := utf16.DecodeRune(char, rune(order.Uint16(data[i+2:]))); pair != utf8.RuneError {
				char = pair
				i += 2
			}
		}
		made = utf8.AppendRune(made, char)
	}
	return made
}

// parseSmall returns a whole number of a million at most, 0 for what is none.
func parseSmall(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 || n > 1_000_000 {
		return 0
	}
	return n
}
