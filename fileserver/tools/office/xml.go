package office

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxDepth bounds how deep elements nest.
	maxDepth = 1_000
	// maxNames bounds the names of elements that are kept, so that each is made once.
	maxNames = 4_096
	// maxText bounds one text, in bytes.
	maxText = 16 << 20
)

// errText is the end of reading where one text is longer than any that a person wrote.
var errText = document.Damaged("a text has more than %d MiB", maxText>>20)

// A scanner reads XML in memory. It is some thirty times as fast as encoding/xml under WebAssembly, where
// that took half a minute for a sheet of 60,000 rows, since it copies only what is asked for. It knows
// elements, attributes, text and CDATA, and of entities only those of XML itself, so that nothing expands.
// Names are without their prefix: one that two vocabularies share means the same to the readers.
type scanner struct {
	data       []byte
	at         int
	stack      []string    // the elements that are open
	empty      bool        // the last one opened is to be closed
	attributes []attribute // of the last one opened
	text       []byte      // the last text, as it is written
	plain      bool        // it is CDATA
	names      map[string]string
}

// An attribute is a name and its value, as they are written.
type attribute struct{ key, value []byte }

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
	rest := s.data[s.at:]
	length, end := s.readTag(rest)
	if end < 0 {
		return tokenEnd, document.Damaged("the XML ends within a tag")
	}
	s.at += end + 1
	s.empty = rest[end-1] == '/'
	if len(s.stack) >= maxDepth {
		return tokenEnd, document.Damaged("the XML nests more than %d elements", maxDepth)
	}
	s.stack = append(s.stack, s.name(localName(rest[1:length])))
	return tokenOpen, nil
}

// readTag finds the end of a tag's name, its attributes and its >, which may stand in an attribute, too. It
// goes over each byte once.
func (s *scanner) readTag(tag []byte) (length, end int) {
	length = 1
	for length < len(tag) && tag[length] > ' ' && tag[length] != '>' && tag[length] != '/' {
		length++
	}
	s.attributes = s.attributes[:0]
	key, equals, open := length, length, 0
	var quote byte
	for i := length; i < len(tag); i++ {
		switch c := tag[i]; {
		case quote != 0:
			if c == quote {
				s.attributes = append(s.attributes, attribute{key: tag[key:equals], value: tag[open:i]})
				quote, key = 0, i+1
			}
		case c == '"' || c == '\'':
			quote, open = c, i+1
			equals = max(key, equals)
		case c == '=':
			equals = i
		case c == '>':
			return length, i
		case c <= ' ' && key == i:
			key++
		}
	}
	return length, -1
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
	local, prefixed := strings.CutPrefix(name, ":")
	for _, one := range s.attributes {
		before := len(one.key) - len(local)
		if before < 0 || string(one.key[before:]) != local {
			continue
		}
		if (before == 0 && !prefixed) || (before > 0 && one.key[before-1] == ':') {
			return unescape(one.value)
		}
	}
	return ""
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
			if len(first)+all.Len()+len(s.text) > maxText {
				return "", errText
			}
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
