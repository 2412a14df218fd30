package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxCodeBytes is the most code that one call takes.
const maxCodeBytes = 4 << 20

// readSource reads a file, or standard input where it is called "-".
func (a *app) readSource(ctx context.Context, name string) (string, error) {
	var source io.Reader
	if name == "-" {
		source = a.input(ctx)
	} else {
		f, err := os.Open(name)
		if err != nil {
			return "", localError(err)
		}
		defer func() { _ = f.Close() }() // only read from
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return "", usagef("%s is a folder", name)
		}
		source = f
	}
	raw, err := io.ReadAll(io.LimitReader(source, maxCodeBytes+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(raw) > maxCodeBytes {
		return "", usagef("%s is larger than %d bytes, the most that one call takes; upload it with `sandgate cp` and run it with `sandgate sh`", name, maxCodeBytes)
	}
	if name == "-" {
		name = "standard input"
	}
	return decodeSource(name, string(raw))
}

// Python looks for the encoding of a file in its first two lines (PEP 263).
var (
	codingLine = regexp.MustCompile(`^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)`)
	blankLine  = regexp.MustCompile(`^[ \t\f]*(?:#.*)?\r?$`)
)

// coding is the encoding that a Python file says it has, as Python writes its name, or empty.
func coding(source string) string {
	for i, line := range strings.SplitN(source, "\n", 3) {
		if found := codingLine.FindStringSubmatch(line); found != nil && i < 2 {
			return strings.ToLower(strings.ReplaceAll(found[1], "_", "-"))
		}
		if !blankLine.MatchString(line) {
			return ""
		}
	}
	return ""
}

// decodeSource turns a Python file into text. The wire takes nothing but UTF-8, and Python itself
// takes nothing else from a file that does not say so.
func decodeSource(name, raw string) (string, error) {
	// Python drops a byte order mark, and so must whoever reads for it.
	text, marked := strings.CutPrefix(raw, "\uFEFF")
	encoding := coding(text)
	switch {
	case !marked && (encoding == "latin-1" || encoding == "iso-8859-1" || encoding == "iso-latin-1" || encoding == "latin1"):
		return latin1(text), nil
	case encoding == "" || encoding == "utf-8" || encoding == "utf8" || isASCII(text):
		err := checkText(name, raw)
		if err != nil && encoding == "" {
			err = hintError{err: err, hint: "save it as UTF-8, or let a first line such as `# coding: latin-1` say what it is"}
		}
		return text, err
	default:
		return "", usagef("%s says that its encoding is %q: save it as UTF-8 or latin-1", name, encoding)
	}
}

// latin1 is the text that bytes mean in ISO 8859-1, where each is the code point of its number.
func latin1(raw string) string {
	var text strings.Builder
	for i := range len(raw) {
		text.WriteRune(rune(raw[i]))
	}
	return text.String()
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// checkText refuses what the wire cannot carry as text, and says where it is wrong. Bytes are
// counted from one.
func checkText(name, text string) error {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if r == utf8.RuneError && size == 1 {
			return usagef("%s is not UTF-8 (byte %d)", name, at+1)
		}
		at += size
	}
	return nil
}
