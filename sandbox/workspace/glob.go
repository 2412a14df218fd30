package workspace

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	// maxAlternatives bounds what the braces of a pattern stand for.
	maxAlternatives = 256
	// maxSegments bounds the names in a pattern: each is a bit of a set.
	maxSegments = 63
	// anyDirectories is the name in a pattern that stands for any number of them.
	anyDirectories = "**"
)

// ErrPattern is wrapped by the errors of patterns that mean nothing.
var ErrPattern = errors.New("bad pattern")

// A Glob is a pattern of paths, which are names joined by slashes. In a name `*` stands for any
// characters, `?` for one, `[a-z]` for one of some, `[!a-z]` for one of the others, and `\` takes the meaning
// from the character behind it; `{a,b}` stands for either, slashes included; the name `**` stands for any
// number of names, and at the end for at least one. It may be used by any number of goroutines.
type Glob struct {
	alternatives [][]string
	hidden       bool
}

// ParseGlob returns the Glob of a pattern. Names that begin with a dot are matched only by a dot in the
// pattern, unless hidden is set. Its errors wrap ErrPattern.
func ParseGlob(pattern string, hidden bool) (*Glob, error) {
	expanded, err := expand(pattern)
	if err != nil {
		return nil, err
	}
	g := &Glob{hidden: hidden}
	for _, one := range expanded {
		names, err := patternNames(one)
		if err != nil {
			return nil, err
		}
		if len(names) > 0 {
			g.alternatives = append(g.alternatives, names)
		}
	}
	if len(g.alternatives) == 0 {
		return nil, fmt.Errorf("%w: %q names nothing", ErrPattern, pattern)
	}
	return g, nil
}

// patternNames splits a pattern without braces.
func patternNames(pattern string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(pattern, "/") {
		switch {
		case name == "" || name == ".":
			continue
		case name == "..":
			return nil, fmt.Errorf("%w: it holds \"..\"", ErrPattern)
		case name == anyDirectories && len(names) > 0 && names[len(names)-1] == name:
			continue // twice any number is any number
		}
		name = caretClasses(name)
		if _, err := path.Match(name, ""); err != nil {
			return nil, fmt.Errorf("%w: %q has a bracket or a backslash that does not end", ErrPattern, name)
		}
		if names = append(names, name); len(names) > maxSegments {
			return nil, fmt.Errorf("%w: it has more than %d names", ErrPattern, maxSegments)
		}
	}
	return names, nil
}

// caretClasses writes `[!` as `[^`, which is how path.Match knows it.
func caretClasses(name string) string {
	for at := 0; at < len(name); at++ {
		switch name[at] {
		case '\\':
			at++
		case '[':
			if strings.HasPrefix(name[at+1:], "!") {
				name = name[:at+1] + "^" + name[at+2:]
			}
			if at = classEnd(name, at); at < 0 {
				return name
			}
		}
	}
	return name
}

// Match reports whether a path, without a slash at its ends, matches.
func (g *Glob) Match(path string) bool {
	for _, names := range g.alternatives {
		if g.states(names, path)&(1<<len(names)) != 0 {
			return true
		}
	}
	return false
}

// Below reports whether something below a directory may match. "" is the directory above all.
func (g *Glob) Below(dir string) bool {
	for _, names := range g.alternatives {
		if g.states(names, dir)&^(1<<len(names)) != 0 {
			return true
		}
	}
	return false
}

// states returns the set of how many names of the pattern may be used up by the path.
func (g *Glob) states(pattern []string, path string) uint64 {
	states := skipDirectories(pattern, 1)
	if path == "" {
		return states
	}
	for name := range strings.SplitSeq(path, "/") {
		var next uint64
		for i, want := range pattern {
			switch {
			case states&(1<<i) == 0:
			case want != anyDirectories:
				if g.matchName(want, name) {
					next |= 1 << (i + 1)
				}
			case g.hidden || !strings.HasPrefix(name, "."):
				next |= 1 << i
				if i == len(pattern)-1 {
					next |= 1 << (i + 1)
				}
			}
		}
		if states = skipDirectories(pattern, next); states == 0 {
			return 0
		}
	}
	return states
}

// skipDirectories adds what any number of directories allows when that is none.
func skipDirectories(pattern []string, states uint64) uint64 {
	for i, want := range pattern[:len(pattern)-1] {
		if want == anyDirectories && states&(1<<i) != 0 {
			states |= 1 << (i + 1)
		}
	}
	return states
}

func (g *Glob) matchName(pattern, name string) bool {
	if !g.hidden && strings.HasPrefix(name, ".") && !strings.HasPrefix(pattern, ".") && !strings.HasPrefix(pattern, `\.`) {
		return false
	}
	matched, err := path.Match(pattern, name)
	return matched && err == nil
}

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

// A Filter says which files are wanted.
type Filter struct{ include, exclude []*Glob }

// NewFilter returns the Filter of files that match one of include, if there is any, and are neither matched by
// one of exclude nor in a directory that is. A pattern without a slash is matched with names, others with
// paths. Its errors wrap ErrPattern.
func NewFilter(include, exclude []string) (Filter, error) {
	var f Filter
	for _, list := range []struct {
		patterns []string
		globs    *[]*Glob
	}{{include, &f.include}, {exclude, &f.exclude}} {
		for _, pattern := range list.patterns {
			if !strings.Contains(strings.TrimSuffix(pattern, "/"), "/") {
				pattern = "**/" + pattern
			}
			glob, err := ParseGlob(pattern, true)
			if err != nil {
				return Filter{}, err
			}
			*list.globs = append(*list.globs, glob)
		}
	}
	return f, nil
}

// File reports whether the file at a path is wanted, given that its directory is.
func (f Filter) File(path string) bool {
	matches := func(g *Glob) bool { return g.Match(path) }
	return (len(f.include) == 0 || slices.ContainsFunc(f.include, matches)) && !slices.ContainsFunc(f.exclude, matches)
}

// Directory reports whether files in the directory at a path may be wanted, given that the one above may.
func (f Filter) Directory(path string) bool {
	return (len(f.include) == 0 || slices.ContainsFunc(f.include, func(g *Glob) bool { return g.Below(path) })) &&
		!slices.ContainsFunc(f.exclude, func(g *Glob) bool { return g.Match(path) })
}
