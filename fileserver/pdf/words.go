package pdf

import (
	"encoding/binary"
	"math"
	"unicode"
)

// maxChars bounds the characters of a page.
const maxChars = 500_000

// A word is text without a space in it and where it stands, in points from the page's lower left corner.
// PDFium parts words also where the page has a gap and no space.
type word struct {
	text                     string
	left, right, bottom, top float64
	turned                   bool // drawn up or down, so that it is a line of its own
}

// words returns the words of a page's text, in the order in which the page draws them.
func (f *file) words(text uint64) []word {
	count := int(int32(f.call("FPDFText_CountChars", text)))
	if count <= 0 {
		return nil
	}
	box := f.alloc(boxBytes)
	defer f.free(box)
	var (
		words []word
		chars []rune // of the word that has begun
	)
	for i := range min(count, maxChars) {
		char := rune(uint32(f.call("FPDFText_GetUnicode", text, uint64(i))))
		hyphen := char == 0xfffe // PDFium's sign for one at the end of a line
		switch {
		case hyphen:
			chars = append(chars, '-')
		case char != '\u00a0' && !unicode.IsSpace(char):
			chars = append(chars, char)
			continue
		}
		if len(chars) > 0 {
			end := i
			if hyphen {
				end++
			}
			words = f.place(words, text, box, end-len(chars), chars)
			chars = chars[:0]
		}
	}
	if len(chars) > 0 {
		words = f.place(words, text, box, min(count, maxChars)-len(chars), chars)
	}
	if f.failed != nil {
		return nil
	}
	return words
}

// place adds a word that begins at a character. One that is drawn up or down stays whole; one whose end is
// before its beginning otherwise, as it goes on in the next line, is added character by character.
func (f *file) place(words []word, text uint64, box uint32, first int, chars []rune) []word {
	w := f.boxOf(text, box, first)
	if last := len(chars) - 1; last > 0 {
		end := f.boxOf(text, box, first+last)
		if end.left <= w.left && w.left-end.left > max(w.right-w.left, w.top-w.bottom) {
			for i := range chars {
				words = f.place(words, text, box, first+i, chars[i:i+1])
			}
			return words
		}
		w = word{
			left: min(w.left, end.left), right: max(w.right, end.right), bottom: min(w.bottom, end.bottom), top: max(w.top, end.top),
			turned: end.left <= w.left,
		}
	}
	w.text = printable(chars)
	if w.text == "" {
		return words
	}
	return append(words, w)
}

// printable returns the characters that can be seen.
func printable(chars []rune) string {
	seen := make([]rune, 0, len(chars))
	for _, char := range chars {
		if unicode.IsGraphic(char) {
			seen = append(seen, char)
		}
	}
	return string(seen)
}

const boxBytes = 4 * 8 // left, right, bottom and top

// boxOf returns where a character stands, as a word without text.
func (f *file) boxOf(text uint64, box uint32, char int) word {
	at := uint64(box)
	f.call("FPDFText_GetCharBox", text, uint64(char), at, at+8, at+16, at+24)
	data := f.read(box, boxBytes)
	if data == nil {
		return word{}
	}
	return word{left: double(data), right: double(data[8:]), bottom: double(data[16:]), top: double(data[24:])}
}

// double decodes a number; one that is none is zero.
func double(data []byte) float64 {
	v := math.Float64frombits(binary.LittleEndian.Uint64(data))
	if math.IsNaN(v) || math.Abs(v) > 1e6 {
		return 0
	}
	return v
}
