package document

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Selection says which parts of a document are wanted: "3", "2-5,9", "7-", or names such as
// "Sales" and "Sales!A1:D20", separated by commas. The zero Selection wants all.
type Selection struct {
	ranges []numbers
	names  []Named
}

// numbers is a range of parts, counted from 1.
type numbers struct{ first, last int }

// Named is a part that was asked for by name, and what of it.
type Named struct{ Name, Area string }

// ParseSelection reads a selection. A number is one of parts; a name that is a number is not found.
func ParseSelection(text string) (Selection, error) {
	var s Selection
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		first, last, isRange := strings.Cut(item, "-")
		from, fromErr := strconv.Atoi(strings.TrimSpace(first))
		to, toErr := from, error(nil)
		if isRange {
			to, toErr = strconv.Atoi(cmp.Or(strings.TrimSpace(last), strconv.Itoa(1<<30)))
		}
		switch {
		case isRange && first == "" || errors.Is(fromErr, strconv.ErrRange) || errors.Is(toErr, strconv.ErrRange):
			return Selection{}, fmt.Errorf("%w: %q; parts count from 1", ErrSelection, item)
		case fromErr != nil || toErr != nil:
			name, area, _ := strings.Cut(item, "!")
			s.names = append(s.names, Named{Name: strings.Trim(name, "'"), Area: area})
		case from < 1 || to < from:
			return Selection{}, fmt.Errorf("%w: %q; parts count from 1", ErrSelection, item)
		default:
			s.ranges = append(s.ranges, numbers{first: from, last: to})
		}
	}
	return s, nil
}

// All tells that everything is wanted.
func (s Selection) All() bool { return len(s.ranges) == 0 && len(s.names) == 0 }

// Wants tells whether the nth part, counted from 1, is wanted, which the document calls name, or which has
// no name. Case does not matter.
func (s Selection) Wants(n int, name string) bool {
	if s.All() {
		return true
	}
	for _, r := range s.ranges {
		if r.first <= n && n <= r.last {
			return true
		}
	}
	_, ok := s.Named(name)
	return ok
}

// Named returns what was asked for of the part with a name.
func (s Selection) Named(name string) (Named, bool) {
	for _, named := range s.names {
		if name != "" && strings.EqualFold(named.Name, name) {
			return named, true
		}
	}
	return Named{}, false
}

// Areas returns the areas that were asked for of the nth part, which the document calls name: none where all
// of it is wanted.
func (s Selection) Areas(n int, name string) []string {
	for _, r := range s.ranges {
		if r.first <= n && n <= r.last {
			return nil
		}
	}
	var areas []string
	for _, named := range s.names {
		if name == "" || !strings.EqualFold(named.Name, name) {
			continue
		}
		if named.Area == "" {
			return nil
		}
		areas = append(areas, named.Area)
	}
	return areas
}

// Last returns the number of the last part that is wanted by number, zero where the document must be read
// to its end.
func (s Selection) Last() int {
	last := 0
	for _, r := range s.ranges {
		last = max(last, r.last)
	}
	if len(s.names) > 0 {
		return 0
	}
	return last
}
