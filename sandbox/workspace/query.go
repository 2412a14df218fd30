package workspace

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// A Query is what the lines of a text are searched for. It may be used by any number of goroutines.
type Query struct {
	expression *regexp.Regexp
	// required is a text that every line with a match holds: looking for it is much faster than matching.
	// It is in lower case if fold is set.
	required []byte
	fold     bool
}

// NewQuery returns the Query of a regular expression in the syntax of RE2, or of a text if literal is set.
// Letters match whatever their case if ignoreCase is set. Its errors wrap ErrPattern.
func NewQuery(pattern string, literal, ignoreCase bool) (*Query, error) {
	if literal {
		pattern = regexp.QuoteMeta(pattern)
	}
	if ignoreCase {
		pattern = "(?i:" + pattern + ")"
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPattern, err)
	}
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPattern, err)
	}
	q := &Query{expression: expression}
	required, fold := requiredText(tree)
	q.required, q.fold = []byte(required), fold
	return q, nil
}

// find returns where in a line the first match is, nil for nowhere.
func (q *Query) find(line []byte) []int { return q.expression.FindIndex(line) }

// fold appends text to to, in lower case as far as it is ASCII.
func fold(to, text []byte) []byte {
	from := len(to)
	to = append(to, text...)
	for i, c := range to[from:] {
		if 'A' <= c && c <= 'Z' {
			to[from+i] = c + 'a' - 'A'
		}
	}
	return to
}

// requiredText returns the longest text found that every match of an expression holds, and whether in any
// case.
func requiredText(tree *syntax.Regexp) (text string, fold bool) {
	switch tree.Op {
	case syntax.OpLiteral:
		if tree.Flags&syntax.FoldCase != 0 {
			return longest(strings.FieldsFunc(strings.ToLower(string(tree.Rune)), foldsStrangely)), true
		}
		return longest(strings.Split(string(tree.Rune), string(utf8.RuneError))), false // which any bad byte matches
	case syntax.OpCapture, syntax.OpPlus:
		return requiredText(tree.Sub[0])
	case syntax.OpRepeat:
		if tree.Min > 0 {
			return requiredText(tree.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range tree.Sub {
			if other, otherFold := requiredText(sub); len(other) > len(text) {
				text, fold = other, otherFold
			}
		}
	default:
	}
	return text, fold
}

// foldsStrangely reports whether a lower-case letter has other forms than one in upper case: the Kelvin sign
// is a k, and the long s an s.
func foldsStrangely(r rune) bool { return r >= utf8.RuneSelf || r == 'k' || r == 's' }

func longest(texts []string) string {
	best := ""
	for _, text := range texts {
		if len(text) > len(best) {
			best = text
		}
	}
	return best
}
