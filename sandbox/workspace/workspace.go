// Package workspace has what is done with the texts and the names of a workspace, wherever that is kept:
// patterns of paths, the search of texts, the difference of two texts and patches. It opens no files and
// keeps nothing. What it is given may be hostile, so that everything in it takes bounded time and memory
// for its input.
package workspace

import (
	"bytes"
	"errors"
	"strings"
)

const (
	// MaxTextBytes bounds a text that is compared or patched.
	MaxTextBytes = 4 << 20
	// MaxTextLines bounds its lines.
	MaxTextLines = 200_000
	// binaryHead is how much of a file is looked at to tell whether it is binary.
	binaryHead = 8 << 10
)

var (
	// ErrBinary is returned for what is no text.
	ErrBinary = errors.New("it is binary")
	// ErrTooLarge is returned for a text beyond MaxTextBytes or MaxTextLines.
	ErrTooLarge = errors.New("the text has more than 4 MiB or 200,000 lines")
)

// IsBinary reports whether what begins with head is binary: there is a NUL in the first 8 KiB.
func IsBinary(head []byte) bool {
	return bytes.IndexByte(head[:min(len(head), binaryHead)], 0) >= 0
}

// text is the lines of a text without their ends.
type text struct {
	lines []string
	open  bool // the last line has no end
}

// splitText splits a text, unless it is too large.
func splitText(s string) (text, error) {
	if len(s) > MaxTextBytes {
		return text{}, ErrTooLarge
	}
	t := text{}
	for len(s) > 0 {
		if len(t.lines) == MaxTextLines {
			return text{}, ErrTooLarge
		}
		at := strings.IndexByte(s, '\n')
		if at < 0 {
			t.lines, t.open = append(t.lines, s), true
			break
		}
		t.lines, s = append(t.lines, s[:at]), s[at+1:]
	}
	return t, nil
}
