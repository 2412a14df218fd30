package office

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

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
