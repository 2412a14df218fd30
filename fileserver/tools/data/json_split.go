package data

import (
	"errors"
	"fmt"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// chunkBytes is the size of a part of a JSON value, as it is written there. A larger one is split.
	chunkBytes = 32 << 10
	// chunkMembers bounds the elements of an array, or the members of an object, in one part.
	chunkMembers = 100
	// splitDepth is how deep values are split. Deeper, they are kept whole, whatever their size.
	splitDepth = 4
)

// A jsonSplitter gives out a value in parts.
type jsonSplitter struct {
	parts *parts
	text  string
	top   string // the member of the whole value that is being split, empty for none
}

// split gives out the value that from is before, and returns what is wrong with it, after all that was read.
func (s *jsonSplitter) split(from *jsonParser, path string, depth int) error {
	kind, raw, err := from.next()
	if err != nil {
		return err
	}
	if kind == '"' || kind == '0' {
		return s.parts.add(path, "", func() string { return document.Code("json", raw) })
	}
	if kind != '{' && kind != '[' {
		return from.unexpected(kind, raw)
	}
	group := jsonGroup{jsonSplitter: s, path: path, open: kind, depth: depth}
	err = from.members(kind, func(key string) error {
		from.skipSpace()
		member := jsonMember{key: key, start: from.pos}
		damage := from.value(nil, depth+1)
		member.end = from.pos
		return orElse(group.add(member), damage)
	})
	if err != nil && !errors.Is(err, document.ErrFormat) {
		return err
	}
	return orElse(group.flush(err == nil), err)
}

// A jsonMember is where a value is, with its key as it is written if it is an object's.
type jsonMember struct {
	key        string
	start, end int
}

// A jsonGroup is some members of a value, which are one part.
type jsonGroup struct {
	*jsonSplitter

	path    string // of the value
	open    byte   // the value's bracket
	depth   int
	members []jsonMember
	bytes   int
	first   int  // of members in the value, counted from 0
	some    bool // there were members before
}

// add takes the next member, which is split if it is large.
func (g *jsonGroup) add(member jsonMember) error {
	length := member.end - member.start
	large := length > chunkBytes && g.depth+1 < splitDepth && (g.text[member.start] == '{' || g.text[member.start] == '[')
	if large || len(g.members) >= chunkMembers || g.bytes+length > chunkBytes {
		if err := g.flush(false); err != nil {
			return err
		}
	}
	if !large {
		g.members, g.bytes = append(g.members, member), g.bytes+length
		return nil
	}
	if g.depth == 0 {
		g.top = unquote(member.key)
		defer func() { g.top = "" }()
	}
	err := g.split(&jsonParser{text: g.text[:member.end], pos: member.start}, g.path+g.step(0, member), g.depth+1)
	g.first, g.some = g.first+1, true
	if errors.Is(err, document.ErrFormat) {
		return nil // who found where the member ends knows it too
	}
	return err
}

// flush gives out the members that were taken. The last flush of a value that has none gives out the value.
func (g *jsonGroup) flush(last bool) error {
	members := g.members
	if len(members) == 0 && (!last || g.some) {
		return nil
	}
	location := g.path
	switch {
	case last && !g.some: // all of it
	case len(members) == 1:
		location += g.step(0, members[0])
	case g.open == '[':
		location += fmt.Sprintf("[%d-%d]", g.first, g.first+len(members)-1)
	default:
		location += step(members[0].key) + " to " + g.path + step(members[len(members)-1].key)
	}
	names := []string{g.top, "$." + g.top}
	if g.top == "" {
		names = nil
	}
	if g.depth == 0 && g.open == '{' {
		location, members, names = g.named(location)
	}
	g.first, g.some = g.first+len(g.members), true
	g.members, g.bytes = nil, 0
	bare := len(members) == 1 && location != g.path
	return g.parts.add(location, "", func() string { return document.Code("json", g.print(members, bare)) }, names...)
}

// named returns what is to be given out of the members of the whole value: all, or those alone that are
// asked for by name.
func (g *jsonGroup) named(location string) (string, []jsonMember, []string) {
	var chosen []jsonMember
	var names []string
	for _, member := range g.members {
		for _, name := range []string{unquote(member.key), "$" + step(member.key)} {
			if _, ok := g.parts.in.Parts.Named(name); ok {
				chosen, names = append(chosen, member), append(names, name)
				break
			}
		}
	}
	if len(chosen) == 0 || g.parts.in.Parts.Wants(g.parts.n+1, location) {
		return location, g.members, names
	}
	location = g.path + step(chosen[0].key)
	if len(chosen) > 1 {
		location += " to " + g.path + step(chosen[len(chosen)-1].key)
	}
	return location, chosen, names
}

// step returns the nth of the members that are kept as a step of a path.
func (g *jsonGroup) step(n int, member jsonMember) string {
	if g.open == '[' {
		return fmt.Sprintf("[%d]", g.first+n)
	}
	return step(member.key)
}

// print writes members as the value that they are of would be with them alone, or the bare value of one.
func (g *jsonGroup) print(members []jsonMember, bare bool) string {
	printer := &jsonPrinter{text: g.text}
	if bare {
		_ = (&jsonParser{text: g.text[:members[0].end], pos: members[0].start}).value(printer, g.depth+1) // as far as it is whole
		return printer.b.String()
	}
	whole := true
	printer.begin(g.open, len(g.text))
	for _, member := range members {
		if member.key != "" {
			printer.key(member.key)
		}
		whole = (&jsonParser{text: g.text[:member.end], pos: member.start}).value(printer, g.depth+1) == nil
	}
	if whole {
		printer.end(g.open + 2)
	}
	return printer.b.String()
}
