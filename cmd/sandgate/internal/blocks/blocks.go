// Package blocks tells where a piece of Python ends that somebody types line by line: a prompt
// must know whether to run what it has or to ask for more.
package blocks

import "strings"

// A Block collects lines until they make a piece that can be run. It does not check the syntax:
// what cannot be Python is handed on, so that Python itself says what is wrong. The zero Block is
// empty and ready. It is not safe for concurrent use.
type Block struct {
	text     strings.Builder
	lines    int
	depth    int    // open brackets
	quote    string // the triple quote that is open, or empty
	joined   bool   // the last line ended in a backslash
	compound bool   // it goes on until an empty line
	colon    bool   // the last thing on the logical line was a colon
	foreign  bool   // a cell magic: its lines are not Python
}

// Add takes the next line, without its line end, and says whether the block is complete. A pasted
// line that is empty does not end a block, because pasted code has empty lines in it.
func (b *Block) Add(line string, pasted bool) (complete bool) {
	blank := strings.TrimSpace(line) == ""
	if b.lines == 0 {
		if blank {
			return true
		}
		first := strings.TrimSpace(line)
		b.foreign = strings.HasPrefix(first, "%%")
		b.compound = b.foreign || startsCompound(first)
		if first[0] == '!' || (first[0] == '%' && !b.foreign) {
			b.keep(line)
			return true // a shell line or a magic: its quotes are not Python's
		}
	}
	b.keep(line)
	if !b.foreign {
		b.scan(line)
	}
	if b.quote != "" || b.depth > 0 || b.joined {
		return false
	}
	b.compound = b.compound || b.colon
	if b.compound {
		return blank && !pasted
	}
	return true
}

// Text returns the lines so far, each with a line end.
func (b *Block) Text() string { return b.text.String() }

// Empty reports whether no line is kept.
func (b *Block) Empty() bool { return b.lines == 0 }

// Reset forgets everything.
func (b *Block) Reset() { *b = Block{} }

// keep appends a line.
func (b *Block) keep(line string) {
	b.text.WriteString(line)
	b.text.WriteByte('\n')
	b.lines++
}

// startsCompound reports whether a first line begins a statement that has lines below it.
func startsCompound(first string) bool {
	if first[0] == '@' {
		return true
	}
	word := first
	if end := strings.IndexFunc(first, func(r rune) bool { return r < 'a' || r > 'z' }); end >= 0 {
		word = first[:end]
	}
	switch word {
	case "if", "for", "while", "try", "with", "def", "class", "async":
		return true
	}
	return false
}

// scan follows strings, brackets and comments through a line.
func (b *Block) scan(line string) {
	b.joined, b.colon = false, false
	for i := 0; i < len(line); {
		if b.quote != "" {
			i = b.skipTriple(line, i)
			continue
		}
		switch c := line[i]; c {
		case '#':
			return
		case '\'', '"':
			i = b.openString(line, i)
			b.colon = false
			continue
		case '(', '[', '{':
			b.depth++
			b.colon = false
		case ')', ']', '}':
			b.depth = max(b.depth-1, 0)
			b.colon = false
		case ':':
			b.colon = b.depth == 0
		case '\\':
			b.joined = i == len(line)-1
		case ' ', '\t', '\r', '\f':
		default:
			b.colon = false
		}
		i++
	}
}

// skipTriple goes on in a triple-quoted string and returns where to read next.
func (b *Block) skipTriple(line string, i int) int {
	for i < len(line) {
		if line[i] == '\\' {
			i += 2
			continue
		}
		if strings.HasPrefix(line[i:], b.quote) {
			i += len(b.quote)
			b.quote = ""
			return i
		}
		i++
	}
	return len(line)
}

// openString reads a string that begins at i. One in single quotes ends with its line at the
// latest, unless a backslash joins the next.
func (b *Block) openString(line string, i int) int {
	triple := strings.Repeat(line[i:i+1], 3)
	if strings.HasPrefix(line[i:], triple) {
		b.quote = triple
		return i + 3
	}
	mark := line[i]
	for i++; i < len(line); i++ {
		switch line[i] {
		case mark:
			return i + 1
		case '\\':
			if i == len(line)-1 {
				b.joined = true
			}
			i++
		}
	}
	return len(line)
}
