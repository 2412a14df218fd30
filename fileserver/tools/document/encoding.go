package document

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// windows1252 is what the bytes from 0x80 to 0x9f are in Windows-1252; the other bytes are their characters.
// The five that it leaves open are the control characters that browsers take them for.
const windows1252 = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"

// sniffed is how much of a text without a byte order mark is looked at to tell UTF-16, in bytes.
const sniffed = 4096

// UTF8 returns a text of bytes whose encoding nothing declares, and the encoding's name in lower case: that
// of the byte order mark, which is left out, UTF-8 where the bytes are that, and else Windows-1252. What is
// not a character is U+FFFD. A text that is UTF-8 but for a few bytes is UTF-8.
func UTF8(data []byte) (text string, encoding string) {
	if text, encoding := marked(data); encoding != "" {
		return text, encoding
	}
	if order, name := zeros(data); order != nil {
		return fromUTF16(data, order), name
	}
	if mostlyUTF8(data) {
		return strings.ToValidUTF8(string(data), "\uFFFD"), "utf-8"
	}
	return fromWindows1252(data), "windows-1252"
}

// marked decodes what has a byte order mark. The encoding is empty where there is none.
func marked(data []byte) (text, encoding string) {
	has := func(mark string) bool { return len(data) >= len(mark) && string(data[:len(mark)]) == mark }
	switch {
	case has("\xef\xbb\xbf"):
		return strings.ToValidUTF8(string(data[3:]), "\uFFFD"), "utf-8"
	case has("\xff\xfe\x00\x00") && len(data)%4 == 0:
		return fromUTF32(data[4:], binary.LittleEndian), "utf-32le"
	case has("\x00\x00\xfe\xff"):
		return fromUTF32(data[4:], binary.BigEndian), "utf-32be"
	case has("\xff\xfe"):
		return fromUTF16(data[2:], binary.LittleEndian), "utf-16le"
	case has("\xfe\xff"):
		return fromUTF16(data[2:], binary.BigEndian), "utf-16be"
	}
	return "", ""
}

// zeros tells UTF-16 without a mark by the zero bytes that nearly every text has in it, all on one side.
func zeros(data []byte) (binary.ByteOrder, string) {
	head := data[:min(len(data), sniffed)]
	var count [2]int
	for i, c := range head {
		if c == 0 {
			count[i%2]++
		}
	}
	switch least := len(head) / 8; {
	case len(head) < 4 || len(data)%2 != 0:
		return nil, ""
	case count[1] > least && count[0] == 0:
		return binary.LittleEndian, "utf-16le"
	case count[0] > least && count[1] == 0:
		return binary.BigEndian, "utf-16be"
	}
	return nil, ""
}

// mostlyUTF8 tells whether a text is UTF-8, or has more characters that only UTF-8 makes than bytes that
// are none of it.
func mostlyUTF8(data []byte) bool {
	if utf8.Valid(data) {
		return true
	}
	characters, wrong := 0, 0
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			wrong++
		case size > 1:
			characters++
		}
		data = data[size:]
	}
	return characters > wrong
}

func fromUTF16(data []byte, order binary.ByteOrder) string {
	var b strings.Builder
	b.Grow(len(data))
	for ; len(data) >= 2; data = data[2:] {
		r := rune(order.Uint16(data))
		if utf16.IsSurrogate(r) && len(data) >= 4 {
			if whole := utf16.DecodeRune(r, rune(order.Uint16(data[2:]))); whole != utf8.RuneError {
				r, data = whole, data[2:]
			}
		}
		b.WriteRune(r) // half a pair is U+FFFD
	}
	if len(data) > 0 {
		b.WriteRune(utf8.RuneError)
	}
	return b.String()
}

func fromUTF32(data []byte, order binary.ByteOrder) string {
	var b strings.Builder
	b.Grow(len(data) / 4)
	for ; len(data) >= 4; data = data[4:] {
		r := utf8.RuneError
		if c := order.Uint32(data); c <= utf8.MaxRune {
			r = rune(c)
		}
		b.WriteRune(r)
	}
	if len(data) > 0 {
		b.WriteRune(utf8.RuneError)
	}
	return b.String()
}

func fromWindows1252(data []byte) string {
	high := []rune(windows1252)
	var b strings.Builder
	b.Grow(len(data) + len(data)/8)
	for _, c := range data {
		if 0x80 <= c && c < 0xa0 {
			b.WriteRune(high[c-0x80])
			continue
		}
		b.WriteRune(rune(c))
	}
	return b.String()
}
