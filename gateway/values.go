package gateway

import (
	"bytes"
	"errors"
	"fmt"
)

// Bounds of what one message may hold, besides its bytes. A decoder makes some 100 bytes and a
// microsecond of work out of a value that takes two bytes to write, so that 4 MiB of zeros would cost
// 280 MiB and two seconds. They are checked before anything is decoded.
const (
	// maxValues bounds the values of a message: fields, elements, entries. The largest that the API
	// has a use for are 4,096 arguments of a program; what is large is text and data, which is one value.
	maxValues = 50_000
	// maxDepth bounds how deep lists and objects lie in one another in JSON. The decoder's own bound is
	// 10,000, which costs a stack of megabytes.
	maxDepth = 100
	// maxWireDepth is the same for binary messages, where an object in an object is three messages deep.
	maxWireDepth = 3 * maxDepth
)

func errTooManyValues() error {
	return fmt.Errorf("it has more than %d values; send large data as a file", maxValues)
}

func errTooDeep() error { return errors.New("its values are nested too deep") }

// jsonValues counts the values of a JSON text, or says that they are too many or too deep. It counts
// what stands before a value or a name, so that it never counts too few. It does not look for errors:
// the decoder stops at the first one, and has seen no more values than were counted up to there.
func jsonValues(data []byte) (int, error) {
	values, depth := 1, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = stringEnd(data, i)
			continue
		case ']', '}':
			depth--
			continue
		case ',', ':':
			values++
		case '[', '{':
			values++
			depth++
		default:
			continue
		}
		if values > maxValues {
			return values, errTooManyValues()
		}
		if depth > maxDepth {
			return values, errTooDeep()
		}
	}
	return values, nil
}

// stringEnd returns where the string that begins at start ends: the index of its closing quote, or the
// length of the text. It looks for quotes, as bytes.IndexByte does that much faster than a loop: most
// of a large request is one string.
func stringEnd(data []byte, start int) int {
	for from := start + 1; ; {
		next := bytes.IndexByte(data[from:], '"')
		if next < 0 {
			return len(data)
		}
		end, slashes := from+next, 0
		for end-slashes > from && data[end-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return end
		}
		from = end + 1
	}
}

// CheckJSON refuses a JSON text that would cost far more to decode than to send: one with too many
// values, or with values too deep in one another. It does not look for errors.
func CheckJSON(text []byte) error {
	_, err := jsonValues(text)
	return err
}
