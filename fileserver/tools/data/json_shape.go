package data

import (
	"fmt"
	"strings"
)

const (
	// maxKeys is how many keys of one kind of object the outline names. What is beyond is taken together.
	maxKeys = 100
	// maxShapes bounds the whole outline.
	maxShapes = 2_000
)

// jsonTypes are the types that an outline tells apart, in its order.
func jsonTypes() []string {
	return []string{"object", "array", "string", "integer", "number", "boolean", "null", "other"}
}

// A shape is what there is at one place of a JSON value: how many values of each type, and their members.
type shape struct {
	types    [8]int // in the order of jsonTypes
	elements int    // of all arrays together

	children map[string]*shape // by the key as it is written
	keys     []string
	other    *shape // of the keys that are not named
	element  *shape
}

// A jsonShaper makes the outline of the values that it is told of. Values one after another are of one
// place, as in JSON Lines.
type jsonShaper struct {
	root   *shape
	open   []*shape // nil where the outline ends
	lists  []bool
	keyRaw string
	shapes int
	cut    bool // there are places that the outline leaves out
}

func newJSONShaper() *jsonShaper { return &jsonShaper{root: &shape{}} }

func (s *jsonShaper) begin(open byte, _ int) {
	at := s.place()
	switch {
	case at == nil:
	case open == '{':
		at.types[0]++
	default:
		at.types[1]++
	}
	s.open, s.lists = append(s.open, at), append(s.lists, open == '[')
}

func (s *jsonShaper) key(raw string) { s.keyRaw = raw }

func (s *jsonShaper) scalar(raw string) {
	if at := s.place(); at != nil {
		at.types[scalarType(raw)]++
	}
}

func (s *jsonShaper) end(byte) {
	last := len(s.open) - 1
	s.open, s.lists = s.open[:last], s.lists[:last]
}

// reset forgets the value that was not whole.
func (s *jsonShaper) reset() { s.open, s.lists = s.open[:0], s.lists[:0] }

func scalarType(raw string) int {
	switch {
	case raw[0] == '"':
		return 2
	case raw == "true", raw == "false":
		return 5
	case raw == "null":
		return 6
	case !isNumber(raw):
		return 7
	case strings.ContainsAny(raw, ".eE"):
		return 4
	default:
		return 3
	}
}

// place returns where the next value is.
func (s *jsonShaper) place() *shape {
	if len(s.open) == 0 {
		return s.root
	}
	last := len(s.open) - 1
	up := s.open[last]
	if up == nil {
		return nil
	}
	if s.lists[last] {
		up.elements++
		return s.new(&up.element)
	}
	if child, ok := up.children[s.keyRaw]; ok {
		return child
	}
	if len(up.keys) >= maxKeys {
		return s.new(&up.other)
	}
	var child *shape
	if s.new(&child) == nil {
		return nil
	}
	if up.children == nil {
		up.children = make(map[string]*shape)
	}
	up.children[s.keyRaw] = child
	up.keys = append(up.keys, s.keyRaw)
	return child
}

// new makes a shape where there is none, if the outline may have one more.
func (s *jsonShaper) new(at **shape) *shape {
	if *at == nil {
		if s.shapes++; s.shapes > maxShapes {
			s.cut = true
			return nil
		}
		*at = &shape{}
	}
	return *at
}

// String returns the outline: a line for each place, with the types there and how many.
func (s *jsonShaper) String() string {
	var b strings.Builder
	s.root.write(&b, "$", "")
	if s.cut {
		fmt.Fprintf(&b, "... and more places than %d, which are left out here\n", maxShapes)
	}
	return b.String()
}

// write writes the line of a shape, and those of what is in it.
func (s *shape) write(b *strings.Builder, name, path string) {
	b.WriteString(name + ": " + s.describe() + "\n")
	for _, raw := range s.keys {
		next := path + step(raw)
		s.children[raw].write(b, next, next)
	}
	if s.other != nil {
		s.other.write(b, path+".* (the other keys)", path+".*")
	}
	if s.element != nil {
		s.element.write(b, path+"[]", path+"[]")
	}
}

// describe returns the types and counts of a shape.
func (s *shape) describe() string {
	var kinds []string
	for i, name := range jsonTypes() {
		n := s.types[i]
		switch {
		case n == 0:
			continue
		case name == "array" && n == 1:
			name += fmt.Sprintf(" of %d", s.elements)
		case name == "array":
			name += fmt.Sprintf(" (%d, of %d elements together)", n, s.elements)
		case n > 1:
			name += fmt.Sprintf(" (%d)", n)
		}
		kinds = append(kinds, name)
	}
	return strings.Join(kinds, ", ")
}
