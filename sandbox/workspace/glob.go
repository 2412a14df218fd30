package workspace

import (
	"errors"
	"fmt"
	"path"
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
