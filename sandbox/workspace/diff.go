package workspace

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

const (
	// maxEdits bounds how many lines a block may have removed and added for the shortest way from one text to
	// the other to be looked for in it. A block beyond that is replaced as a whole, so that time and memory are
	// bounded for texts that were made to take long.
	maxEdits = 256
	// maxAnchorDepth bounds how often a block is cut at the lines that occur once.
	maxAnchorDepth = 16
)

// A Difference is how a text differs from another.
type Difference struct {
	// Unified is the unified diff, empty if they are the same.
	Unified string
	// Added and Removed are numbers of lines.
	Added, Removed int
}

// Diff returns how the text after differs from the text before, with so many lines around each change and the
// names in its head. Texts that are too large are ErrTooLarge. Its time is about linear in the size of the
// texts; the difference may be longer than the shortest one.
func Diff(before, after, beforeName, afterName string, context int) (Difference, error) {
	a, err := splitText(before)
	if err != nil {
		return Difference{}, err
	}
	b, err := splitText(after)
	if err != nil {
		return Difference{}, err
	}
	d := newDiffer(a, b)
	d.block(0, len(d.a), 0, len(d.b), 0)
	var out Difference
	var unified strings.Builder
	for _, group := range d.groups(context) {
		if unified.Len() == 0 {
			fmt.Fprintf(&unified, "--- %s\n+++ %s\n", headName(beforeName), headName(afterName))
		}
		added, removed := writeHunk(&unified, a, b, group, context)
		out.Added, out.Removed = out.Added+added, out.Removed+removed
	}
	out.Unified = unified.String()
	return out, nil
}

// headName quotes a name that would break the head of a diff.
func headName(name string) string {
	if strings.ContainsAny(name, "\n\r\t\"\\") {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// change says that lines of one text are replaced by lines of the other.
type change struct{ fromA, toA, fromB, toB int }

// differ compares lines by numbers, one for each different line.
type differ struct {
	a, b    []int32
	changes []change
}

func newDiffer(a, b text) *differ {
	numbers := map[string]int32{}
	number := func(t text) []int32 {
		ids := make([]int32, len(t.lines))
		for i, line := range t.lines {
			if t.open && i == len(t.lines)-1 {
				line += "\n" // no other line holds one, so that this is like no line with an end
			}
			id, ok := numbers[line]
			if !ok {
				id = int32(len(numbers))
				numbers[line] = id
			}
			ids[i] = id
		}
		return ids
	}
	return &differ{a: number(a), b: number(b)}
}

// note adds a change, to the one before if they touch.
func (d *differ) note(c change) {
	if c.fromA == c.toA && c.fromB == c.toB {
		return
	}
	if n := len(d.changes); n > 0 && d.changes[n-1].toA == c.fromA && d.changes[n-1].toB == c.fromB {
		d.changes[n-1].toA, d.changes[n-1].toB = c.toA, c.toB
		return
	}
	d.changes = append(d.changes, c)
}

// block compares two blocks: what is the same at their ends goes, then they are cut at the lines that occur
// once in each, and what is left is compared by the shortest way.
func (d *differ) block(fromA, toA, fromB, toB, depth int) {
	for fromA < toA && fromB < toB && d.a[fromA] == d.b[fromB] {
		fromA, fromB = fromA+1, fromB+1
	}
	for fromA < toA && fromB < toB && d.a[toA-1] == d.b[toB-1] {
		toA, toB = toA-1, toB-1
	}
	if fromA == toA || fromB == toB {
		d.note(change{fromA, toA, fromB, toB})
		return
	}
	var anchors [][2]int
	if depth < maxAnchorDepth {
		anchors = d.anchors(fromA, toA, fromB, toB)
	}
	if len(anchors) == 0 {
		d.shortest(fromA, toA, fromB, toB)
		return
	}
	for _, anchor := range anchors {
		if anchor[0] < fromA || anchor[1] < fromB {
			continue // the block before went on through it
		}
		d.block(fromA, anchor[0], fromB, anchor[1], depth+1)
		fromA, fromB = anchor[0]+1, anchor[1]+1
		for fromA < toA && fromB < toB && d.a[fromA] == d.b[fromB] {
			fromA, fromB = fromA+1, fromB+1
		}
	}
	d.block(fromA, toA, fromB, toB, depth+1)
}

// anchors returns the most lines that occur once in each block and are in the same order in both: patience
// diff's longest increasing sequence.
func (d *differ) anchors(fromA, toA, fromB, toB int) [][2]int {
	type occurrence struct{ inA, inB, a, b int }
	seen := map[int32]*occurrence{}
	for i := fromA; i < toA; i++ {
		o := seen[d.a[i]]
		if o == nil {
			o = &occurrence{}
			seen[d.a[i]] = o
		}
		o.inA, o.a = o.inA+1, i
	}
	for i := fromB; i < toB; i++ {
		if o := seen[d.b[i]]; o != nil {
			o.inB, o.b = o.inB+1, i
		}
	}
	var pairs [][2]int
	for i := fromA; i < toA; i++ {
		if o := seen[d.a[i]]; o.inA == 1 && o.inB == 1 {
			pairs = append(pairs, [2]int{o.a, o.b})
		}
	}
	return longestIncreasing(pairs)
}

// longestIncreasing returns the longest sequence of pairs whose second elements increase.
func longestIncreasing(pairs [][2]int) [][2]int {
	var tails []int // of the best sequence of each length, the last pair
	previous := make([]int, len(pairs))
	for i, pair := range pairs {
		at := sort.Search(len(tails), func(k int) bool { return pairs[tails[k]][1] >= pair[1] })
		previous[i] = -1
		if at > 0 {
			previous[i] = tails[at-1]
		}
		if at == len(tails) {
			tails = append(tails, i)
		} else {
			tails[at] = i
		}
	}
	var best [][2]int
	if len(tails) > 0 {
		for i := tails[len(tails)-1]; i >= 0; i = previous[i] {
			best = append(best, pairs[i])
		}
	}
	slices.Reverse(best)
	return best
}

// shortest compares two blocks by Myers' algorithm: it goes from both beginnings to both ends with as few
// edits as it can, and notes how far each number of edits leads on each diagonal.
func (d *differ) shortest(fromA, toA, fromB, toB int) {
	a, b := d.a[fromA:toA], d.b[fromB:toB]
	most := min(len(a)+len(b), maxEdits)
	reach := make([]int, 2*most+3) // by diagonal, with room on both sides
	zero := most + 1
	var trace [][]int // reach[-edits..edits] before each number of edits
	for edits := 0; edits <= most; edits++ {
		trace = append(trace, slices.Clone(reach[zero-edits-1:zero+edits+2]))
		for diagonal := -edits; diagonal <= edits; diagonal += 2 {
			x := reach[zero+diagonal-1] + 1
			if diagonal == -edits || diagonal != edits && reach[zero+diagonal-1] < reach[zero+diagonal+1] {
				x = reach[zero+diagonal+1]
			}
			for x < len(a) && x-diagonal < len(b) && a[x] == b[x-diagonal] {
				x++
			}
			reach[zero+diagonal] = x
			if x >= len(a) && x-diagonal >= len(b) {
				d.back(trace, fromA, toA, fromB, toB)
				return
			}
		}
	}
	d.note(change{fromA, toA, fromB, toB})
}

// back follows the trace from the end and notes the changes in their order.
func (d *differ) back(trace [][]int, fromA, toA, fromB, toB int) {
	x, y := toA-fromA, toB-fromB
	var found []change
	for edits := len(trace) - 1; edits > 0; edits-- {
		reach, zero := trace[edits], edits+1
		diagonal := x - y
		before := diagonal - 1
		if diagonal == -edits || diagonal != edits && reach[zero+diagonal-1] < reach[zero+diagonal+1] {
			before = diagonal + 1
		}
		fromX := reach[zero+before]
		fromY := fromX - before
		// What follows the edit is the same in both.
		if before < diagonal {
			found = append(found, change{fromA + fromX, fromA + fromX + 1, fromB + fromY, fromB + fromY})
		} else {
			found = append(found, change{fromA + fromX, fromA + fromX, fromB + fromY, fromB + fromY + 1})
		}
		x, y = fromX, fromY
	}
	for _, c := range slices.Backward(found) {
		d.note(c)
	}
}
