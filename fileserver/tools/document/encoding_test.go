package document_test

import (
	"testing"
	"unicode/utf8"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

func TestUTF8(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, data, text, encoding string }{
		{"empty", "", "", "utf-8"},
		{"ASCII", "plain", "plain", "utf-8"},
		{"UTF-8", "naïve €", "naïve €", "utf-8"},
		{"UTF-8 with a mark", "\xef\xbb\xbfnaïve", "naïve", "utf-8"},
		{"UTF-8 with a mark and a wrong byte", "\xef\xbb\xbfna\xefve", "na\uFFFDve", "utf-8"},
		{"UTF-8 with a wrong byte among many right ones", "žluťoučký kůň \xff", "žluťoučký kůň \uFFFD", "utf-8"},
		{"UTF-16 little end first", "\xff\xfeH\x00i\x00\x3d\xd8\x00\xde", "Hi😀", "utf-16le"},
		{"UTF-16 big end first", "\xfe\xff\x00H\x00i\xd8\x3d\xde\x00", "Hi😀", "utf-16be"},
		{"UTF-16 with half a pair and half a unit", "\xff\xfe\x3d\xd8H\x00i", "\uFFFDH\uFFFD", "utf-16le"},
		{"UTF-16 without a mark", "H\x00e\x00y\x00!\x00", "Hey!", "utf-16le"},
		{"UTF-16 without a mark, big end first", "\x00H\x00e\x00y\x00!", "Hey!", "utf-16be"},
		{"UTF-32", "\xff\xfe\x00\x00H\x00\x00\x00\x00\xf6\x01\x00", "H😀", "utf-32le"},
		{"UTF-32 beyond Unicode", "\x00\x00\xfe\xff\x00\x00\x00H\xff\x00\x00\x00\x00", "H\uFFFD\uFFFD", "utf-32be"},
		{"Windows-1252", "\x93na\xefve\x94 \x80", "“naïve” €", "windows-1252"},
		{"Windows-1252 where it leaves bytes open", "\x81\x8d\x8f\x90\x9d", "\u0081\u008d\u008f\u0090\u009d", "windows-1252"},
		{"one zero byte is no UTF-16", "binary\x00", "binary\x00", "utf-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text, encoding := document.UTF8([]byte(test.data))
			if text != test.text || encoding != test.encoding {
				t.Errorf("%q is %q in %s, want %q in %s", test.data, text, encoding, test.text, test.encoding)
			}
		})
	}
}

func FuzzUTF8(f *testing.F) {
	for _, seed := range []string{"", "naïve", "\xff\xfeH\x00", "\xfe\xff\x00H\xd8", "\xff\xfe\x00\x00H\x00\x00\x00", "\x93na\xefve"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, encoding := document.UTF8(data)
		if !utf8.ValidString(text) || encoding == "" {
			t.Errorf("%q is %q in %q", data, text, encoding)
		}
		if len(text) > 3*len(data) {
			t.Errorf("%d bytes grew to %d", len(data), len(text))
		}
	})
}
