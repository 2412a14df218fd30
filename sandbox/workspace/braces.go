package workspace

import (
	"fmt"
	"strings"
)

// expand returns what a pattern with braces stands for.
func expand(pattern string) ([]string, error) {
	open := indexSpecial(pattern, 0, "{")
	if open < 0 {
		return []string{pattern}, nil
	}
	choices, end, err := choices(pattern, open)
	if err != nil {
		return nil, err
	}
	rests, err := expand(pattern[end:])
	if err != nil {
		return nil, err
	}
	var expanded []string
	for _, choice := range choices {
		middles, err := expand(choice)
		if err != nil {
			return nil, err
		}
		if len(expanded)+len(middles)*len(rests) > maxAlternatives {
			return nil, fmt.Errorf("%w: its braces stand for more than %d patterns", ErrPattern, maxAlternatives)
		}
		for _, middle := range middles {
			for _, rest := range rests {
				expanded = append(expanded, pattern[:open]+middle+rest)
			}
		}
	}
	return expanded, nil
}

// choices returns what is between the commas of the brace at open, and where behind it the pattern goes on.
func choices(pattern string, open int) (choices []string, end int, err error) {
	depth, from := 1, open+1
	for at := indexSpecial(pattern, from, "{},"); at >= 0; at = indexSpecial(pattern, at+1, "{},") {
		switch {
		case pattern[at] == '{':
			depth++
		case pattern[at] == '}':
			if depth--; depth == 0 {
				return append(choices, pattern[from:at]), at + 1, nil
			}
		case depth == 1:
			choices, from = append(choices, pattern[from:at]), at+1
		}
	}
	return nil, 0, fmt.Errorf("%w: a brace does not end", ErrPattern)
}

// indexSpecial returns where from some place on one of the characters stands, neither behind a backslash nor
// in a class, and -1 for nowhere.
func indexSpecial(pattern string, from int, chars string) int {
	for at := from; at < len(pattern); at++ {
		switch c := pattern[at]; {
		case c == '\\':
			at++
		case c == '[':
			end := classEnd(pattern, at)
			if end < 0 {
				return -1
			}
			at = end
		case strings.IndexByte(chars, c) >= 0:
			return at
		}
	}
	return -1
}

// classEnd returns where the class that begins at a bracket ends, -1 if it does not.
func classEnd(pattern string, at int) int {
	for at++; at < len(pattern); at++ {
		switch pattern[at] {
		case '\\':
			at++
		case ']':
			return at
		}
	}
	return -1
}
