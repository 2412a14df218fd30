package web

import (
	"bytes"
	"strconv"
)

// The kinds of an RTF token.
const (
	rtfBegin = iota // a group begins
	rtfEnd          // a group ends
	rtfWord         // a control word or symbol
	rtfByte         // a byte of text, as \'hh
	rtfText         // bytes of text
)

// An rtfToken is one of an RTF document.
type rtfToken struct {
	kind      int
	word      string // without its backslash
	number    int
	hasNumber bool
	text      []byte
}

// rtfTokens takes an RTF document apart.
type rtfTokens struct {
	data []byte
	at   int
}

// next returns the next token, if there is one.
func (t *rtfTokens) next() (rtfToken, bool) {
	for t.at < len(t.data) {
		c := t.data[t.at]
		t.at++
		switch c {
		case '{':
			return rtfToken{kind: rtfBegin}, true
		case '}':
			return rtfToken{kind: rtfEnd}, true
		case '\\':
			return t.control(), true
		case '\r', '\n', 0:
		default:
			from := t.at - 1
			end := bytes.IndexAny(t.data[t.at:min(len(t.data), t.at+maxBytes)], "{}\\\r\n\x00")
			if end < 0 {
				end = min(len(t.data)-t.at, maxBytes)
			}
			t.at += end
			return rtfToken{kind: rtfText, text: t.data[from:t.at]}, true
		}
	}
	return rtfToken{}, false
}

// control returns what a backslash begins.
func (t *rtfTokens) control() rtfToken {
	from := t.at
	for t.at < len(t.data) && isLetter(t.data[t.at]) {
		t.at++
	}
	if t.at == from {
		return t.symbol()
	}
	token := rtfToken{kind: rtfWord, word: string(t.data[from:min(t.at, from+40)])}
	from = t.at
	if t.at < len(t.data) && t.data[t.at] == '-' {
		t.at++
	}
	for t.at < len(t.data) && '0' <= t.data[t.at] && t.data[t.at] <= '9' {
		t.at++
	}
	if number, err := strconv.Atoi(string(t.data[from:min(t.at, from+12)])); err == nil {
		token.number, token.hasNumber = number, true
	}
	if t.at < len(t.data) && t.data[t.at] == ' ' {
		t.at++
	}
	if token.word == "bin" { // so many bytes follow that are no tokens
		t.at += min(max(token.number, 0), len(t.data)-t.at)
	}
	return token
}

// symbol returns a control symbol, which is one character.
func (t *rtfTokens) symbol() rtfToken {
	if t.at >= len(t.data) {
		return rtfToken{kind: rtfText}
	}
	c := t.data[t.at]
	t.at++
	switch c {
	case '\'':
		end := min(t.at+2, len(t.data))
		code, err := strconv.ParseUint(string(t.data[t.at:end]), 16, 8)
		if err != nil {
			return rtfToken{kind: rtfText}
		}
		t.at = end
		return rtfToken{kind: rtfByte, number: int(code)}
	case '\\', '{', '}':
		return rtfToken{kind: rtfText, text: []byte{c}}
	case '\r', '\n':
		return rtfToken{kind: rtfWord, word: "par"}
	}
	return rtfToken{kind: rtfWord, word: string(rune(c))}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
