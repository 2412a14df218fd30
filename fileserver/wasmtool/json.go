package wasmtool

import (
	"errors"
	"fmt"
)

// Bounds of JSON that is decoded: what takes two bytes to write takes a hundred to hold.
const (
	maxValues = 50_000
	maxDepth  = 64
)

// checkJSON refuses a JSON text that would cost far more to hold than it is long. It does not look for errors.
func checkJSON(text []byte) error {
	values, depth, quoted := 1, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			values++
			depth++
		case c == '}', c == ']':
			depth--
		case c == ',', c == ':':
			values++
		}
		if values > maxValues {
			return fmt.Errorf("it has more than %d values", maxValues)
		}
		if depth > maxDepth {
			return errors.New("its values are nested too deep")
		}
	}
	return nil
}
