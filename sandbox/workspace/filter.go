package workspace

import (
	"slices"
	"strings"
)

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
