package web

import (
	"slices"
	"strconv"
	"strings"
)

const (
	// maxContainers bounds how deep lists and quotations are followed.
	maxContainers = 100
	// maxIndent bounds how deep they are shown: a document made of prefixes would grow without bound.
	maxIndent = 8
)

// A containerKind is what blocks can stand in.
type containerKind uint8

const (
	quotation containerKind = iota
	list
	item
)

// A container is a quotation, a list or a list's item that is open.
type container struct {
	kind   containerKind
	next   int    // of an ordered list: the next number; zero for bullets
	marker string // of an item: what it begins with
	used   bool   // something was written in it
}

// A flow is a text of blocks, one below the other.
type flow struct {
	text   strings.Builder
	stack  []container
	beyond int  // containers that are open but not on the stack
	inItem bool // the last block was in an item
}

// push opens a container.
func (f *flow) push(c container) {
	if len(f.stack) >= maxContainers {
		f.beyond++
		return
	}
	f.stack = append(f.stack, c)
}

// pop closes the innermost container of a kind and what is open in it, if there is one.
func (f *flow) pop(kind containerKind) {
	if f.beyond > 0 {
		f.beyond--
		return
	}
	for i, open := range slices.Backward(f.stack) {
		if open.kind == kind {
			f.stack = f.stack[:i]
			return
		}
		if kind == item && open.kind == list {
			return // an item is not ended from within a list in it
		}
	}
}

// item opens a list's item, in a list of its own if there is none. The marker is that of the list if it is empty.
func (f *flow) item(marker string) {
	if f.beyond == 0 {
		f.pop(item)
	}
	if len(f.stack) == 0 || f.stack[len(f.stack)-1].kind != list {
		f.push(container{kind: list})
	}
	if of := &f.stack[len(f.stack)-1]; marker == "" && of.next > 0 {
		marker = strconv.Itoa(of.next) + ". "
		of.next++
	}
	if marker == "" {
		marker = "- "
	}
	f.push(container{kind: item, marker: marker})
}

// block writes a block, with what the containers that are open put before its lines.
func (f *flow) block(text string) {
	p := f.prefixes()
	switch {
	case f.text.Len() == 0:
	case p.begins && f.inItem:
		f.text.WriteByte('\n')
	default:
		f.text.WriteString("\n" + strings.TrimRight(p.between, " ") + "\n")
	}
	f.inItem = len(f.stack) > 0 && f.stack[len(f.stack)-1].kind == item
	prefix := p.first
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		if strings.TrimSpace(line) == "" {
			prefix = strings.TrimRight(prefix, " ")
		}
		f.text.WriteString(prefix + line)
		prefix = p.rest
	}
}

// prefixes are what the containers that are open put before a block's lines.
type prefixes struct {
	between string // before the empty line that parts the block from the one above
	first   string
	rest    string // before the lines after the first
	begins  bool   // the block begins an item, in a list that has been begun
}

// prefixes returns what stands before the next block, which uses the containers that are open.
func (f *flow) prefixes() prefixes {
	var p prefixes
	within := false
	for i := range f.stack[:min(len(f.stack), maxIndent)] {
		c := &f.stack[i]
		within = within || c.used && c.kind != quotation
		now, later := "", ""
		switch c.kind {
		case quotation:
			now, later = "> ", "> "
		case item:
			later = strings.Repeat(" ", len(c.marker))
			now = later
			if !c.used {
				now, p.begins = c.marker, within
			}
		case list:
		}
		if c.used {
			p.between += later
		}
		p.first, p.rest, c.used = p.first+now, p.rest+later, true
	}
	return p
}
