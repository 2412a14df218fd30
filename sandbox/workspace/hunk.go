package workspace

import (
	"fmt"
	"strconv"
	"strings"
)

// hunk is one change with the lines around it.
type hunk struct {
	line               int // of its head in the patch
	oldStart           int // the first old line, or the line before where there is none
	oldCount, newCount int // as its head says
	old, new           []string
	oldOpen, newOpen   bool // the last line has no end
	removed, added     int
	mark               byte // of the last line that was taken
}

// hunk parses a hunk.
func (p *patchParser) hunk() error {
	if len(p.files) == 0 || !p.inHunks {
		return p.errorf("a hunk stands behind the lines \"--- FILE\" and \"+++ FILE\"")
	}
	if p.hunks++; p.hunks > maxHunks {
		return p.errorf("it has more than %d hunks", maxHunks)
	}
	h, err := p.hunkHead()
	if err != nil {
		return err
	}
	for len(h.old) < h.oldCount || len(h.new) < h.newCount {
		if !p.next() {
			return p.errShort(h)
		}
		if err := p.hunkLine(&h); err != nil {
			return err
		}
	}
	for strings.HasPrefix(p.rest, `\`) {
		p.next()
		if err := p.hunkLine(&h); err != nil {
			return err
		}
	}
	file := &p.files[len(p.files)-1]
	file.hunks = append(file.hunks, h)
	return nil
}

// errShort says that a hunk has fewer lines than its head says.
func (p *patchParser) errShort(h hunk) error {
	return fmt.Errorf("%w: line %d: the head of the hunk says %d old and %d new lines, and it has %d and %d; correct the head",
		ErrPatch, h.line, h.oldCount, h.newCount, len(h.old), len(h.new))
}

// hunkHead parses the line `@@ -old,count +new,count @@`.
func (p *patchParser) hunkHead() (hunk, error) {
	h := hunk{line: p.number}
	fields := strings.Fields(p.line)
	if len(fields) < 4 || fields[3] != "@@" || !strings.HasPrefix(fields[1], "-") || !strings.HasPrefix(fields[2], "+") {
		return h, p.errorf("the head of a hunk is like \"@@ -12,7 +12,9 @@\"")
	}
	var err error
	if h.oldStart, h.oldCount, err = parseRange(fields[1][1:]); err != nil {
		return h, p.errorf("%v", err)
	}
	if _, h.newCount, err = parseRange(fields[2][1:]); err != nil {
		return h, p.errorf("%v", err)
	}
	if h.oldCount == 0 && h.newCount == 0 {
		return h, p.errorf("the hunk is empty")
	}
	return h, nil
}

// parseRange parses "12,7", or "12" for one line.
func parseRange(s string) (start, count int, err error) {
	first, second, both := strings.Cut(s, ",")
	count = 1
	if start, err = strconv.Atoi(first); err == nil && both {
		count, err = strconv.Atoi(second)
	}
	if err != nil || start < 0 || count < 0 || start > 1<<30 || count > MaxTextLines {
		return 0, 0, fmt.Errorf("%q is no range of lines", s)
	}
	return start, count, nil
}

// hunkLine takes a line of a hunk.
func (p *patchParser) hunkLine(h *hunk) error {
	mark, line := byte(' '), p.line
	if line != "" && line != "\r" { // of an empty line an editor may have taken the space
		mark, line = line[0], line[1:]
	}
	switch mark {
	case ' ':
		h.old, h.new = append(h.old, line), append(h.new, line)
	case '-':
		h.old = append(h.old, line)
		h.removed++
	case '+':
		h.new = append(h.new, line)
		h.added++
	case '\\':
		h.oldOpen = h.oldOpen || h.mark == '-' || h.mark == ' '
		h.newOpen = h.newOpen || h.mark == '+' || h.mark == ' '
	default:
		return p.errShort(*h)
	}
	h.mark = mark
	if len(h.old) > h.oldCount || len(h.new) > h.newCount {
		return p.errShort(*h)
	}
	if h.oldOpen && h.old[len(h.old)-1] == "" || h.newOpen && h.new[len(h.new)-1] == "" {
		return p.errorf("an empty line has an end")
	}
	if h.oldOpen && mark != '\\' && mark != '+' || h.newOpen && mark != '\\' && mark != '-' {
		return p.errorf("a line follows the one that is said to be the last")
	}
	return nil
}
