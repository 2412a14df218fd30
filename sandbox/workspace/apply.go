package workspace

import (
	"fmt"
	"slices"
	"strings"
)

// A HunkError says which hunk of a patch does not fit a file.
type HunkError struct {
	// Hunk counts from 1 within the file.
	Hunk int
	// PatchLine is the line of the hunk's head in the patch.
	PatchLine int
	// Line is where in the file the hunk should fit.
	Line int
	// Why says in what it does not.
	Why string
}

// Error names the hunk and the reason.
func (e *HunkError) Error() string {
	return fmt.Sprintf("hunk %d (line %d of the patch) does not fit at line %d: %s", e.Hunk, e.PatchLine, e.Line, e.Why)
}

// An Applied is what became of a hunk.
type Applied struct {
	// Line is its first line in the new text.
	Line int
	// Shift is how many lines that is behind where the patch named it.
	Shift int
}

// A Patched is a text to which a patch was applied.
type Patched struct {
	Text           string
	Added, Removed int
	Hunks          []Applied
}

// Apply applies the patch to the text of its file, empty for one that does not exist. The old lines of a hunk
// must be in the text exactly as they are in the patch, at the line that it names or in one other place. Its
// errors are *HunkErrors and ErrTooLarge.
func (f *FilePatch) Apply(before string) (Patched, error) {
	old, err := splitText(before)
	if err != nil {
		return Patched{}, err
	}
	a := applier{old: old}
	for i := range f.hunks {
		if err := a.apply(i+1, &f.hunks[i]); err != nil {
			return Patched{}, err
		}
	}
	return a.finish()
}

// applier builds the new lines of a file.
type applier struct {
	old  text
	at   int // old lines before are done
	new  text
	done Patched
}

// apply applies the hunk with a number.
func (a *applier) apply(number int, h *hunk) error {
	named := h.oldStart - 1
	if len(h.old) == 0 {
		named = h.oldStart
	}
	at, why := a.place(h, named)
	if why != "" {
		return &HunkError{Hunk: number, PatchLine: h.line, Line: max(h.oldStart, 1), Why: why}
	}
	a.new.lines = append(a.new.lines, a.old.lines[a.at:at]...)
	a.done.Hunks = append(a.done.Hunks, Applied{Line: len(a.new.lines) + 1, Shift: at - named})
	a.new.lines = append(a.new.lines, h.new...)
	a.at = at + len(h.old)
	if a.at == len(a.old.lines) && len(h.old)+len(h.new) > 0 {
		a.new.open = h.newOpen || a.keepsOpen(h)
	}
	a.done.Added, a.done.Removed = a.done.Added+h.added, a.done.Removed+h.removed
	if len(a.new.lines) > MaxTextLines {
		return ErrTooLarge
	}
	return nil
}

// keepsOpen reports whether the last line, which has no end in the file although the patch says nothing of it,
// stays as it is.
func (a *applier) keepsOpen(h *hunk) bool {
	return a.old.open && !h.oldOpen && len(h.old) > 0 && len(h.new) > 0 && h.mark == ' '
}

// place returns where in the old text a hunk fits: at the line named, or in the only other place. Otherwise it
// says why it does not.
func (a *applier) place(h *hunk, named int) (at int, why string) {
	if named >= a.at && a.fits(h, named) {
		return named, ""
	}
	if len(h.old) == 0 {
		return 0, fmt.Sprintf("the file has %d lines, of which %d are done", len(a.old.lines), a.at)
	}
	places := a.places(h)
	switch len(places) {
	case 0:
		return 0, a.mismatch(h, named)
	case 1:
		return places[0], ""
	default:
		return 0, fmt.Sprintf("its old lines are at line %d, at line %d and maybe elsewhere; name the right line in its head",
			places[0]+1, places[1]+1)
	}
}

// fits reports whether the old lines of a hunk are at a place.
func (a *applier) fits(h *hunk, at int) bool {
	end := at + len(h.old)
	return end <= len(a.old.lines) && slices.Equal(a.old.lines[at:end], h.old) && a.endFits(h, end)
}

// endFits reports whether what a hunk says of the last line's end is so.
func (a *applier) endFits(h *hunk, end int) bool {
	switch {
	case (h.oldOpen || h.newOpen) && end != len(a.old.lines):
		return false
	case h.oldOpen:
		return a.old.open
	default: // new lines cannot follow one without an end
		return len(h.old) > 0 || end < len(a.old.lines) || !a.old.open
	}
}

// places returns the first two places where a hunk fits, in time that is linear in the lines: Knuth, Morris and
// Pratt's way.
func (a *applier) places(h *hunk) []int {
	border := make([]int, len(h.old)+1) // of each beginning, the longest that is also its end
	border[0] = -1
	for i, k := 0, -1; i < len(h.old); {
		for k >= 0 && h.old[i] != h.old[k] {
			k = border[k]
		}
		i, k = i+1, k+1
		border[i] = k
	}
	var found []int
	k := 0
	for i := a.at; i < len(a.old.lines) && len(found) < 2; i++ {
		for k >= 0 && (k == len(h.old) || a.old.lines[i] != h.old[k]) {
			k = border[k]
		}
		k++
		if k == len(h.old) && a.endFits(h, i+1) {
			found = append(found, i+1-k)
		}
	}
	return found
}

// mismatch says in which line a hunk differs from the file at the line that it names.
func (a *applier) mismatch(h *hunk, named int) string {
	if named < a.at {
		return "its old lines are not in the file behind those of the hunk before"
	}
	for i, want := range h.old {
		switch {
		case named+i >= len(a.old.lines):
			return fmt.Sprintf("the file has only %d lines", len(a.old.lines))
		case a.old.lines[named+i] == want+"\r":
			return fmt.Sprintf(`line %d ends in \r\n in the file; give the lines so`, named+i+1)
		case a.old.lines[named+i] != want:
			return fmt.Sprintf("line %d is %q, not %q", named+i+1, shorten(a.old.lines[named+i]), shorten(want))
		}
	}
	return "whether the last line has an end is not as the patch says"
}

// shorten clips what an error quotes.
func shorten(line string) string {
	const limit = 120
	if len(line) <= limit {
		return line
	}
	return strings.ToValidUTF8(line[:limit], "") + "..."
}

// finish adds what is behind the last hunk.
func (a *applier) finish() (Patched, error) {
	if a.at < len(a.old.lines) {
		a.new.lines = append(a.new.lines, a.old.lines[a.at:]...)
		a.new.open = a.old.open
	}
	a.done.Text = strings.Join(a.new.lines, "\n")
	if len(a.new.lines) > 0 && !a.new.open {
		a.done.Text += "\n"
	}
	if len(a.new.lines) > MaxTextLines || len(a.done.Text) > MaxTextBytes {
		return Patched{}, ErrTooLarge
	}
	return a.done, nil
}
