package workspace

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// MaxPatchFiles bounds the files of a patch.
	MaxPatchFiles = 100
	// maxHunks bounds its hunks.
	maxHunks = 2000
	// nowhere is the path of a file that does not exist.
	nowhere = "/dev/null"
)

// ErrPatch is wrapped by the errors of what is no unified diff.
var ErrPatch = errors.New("bad patch")

// A FilePatch is what a patch does to one file.
type FilePatch struct {
	// Path is the file's, as the patch names it without git's "a/" and "b/".
	Path string
	// Create and Delete tell that the file comes to be, or goes.
	Create, Delete bool
	hunks          []hunk
}

// ParsePatch parses a unified diff, with or without what git writes besides. Its errors wrap ErrPatch and name
// the line.
func ParsePatch(patch string) ([]FilePatch, error) {
	p := patchParser{rest: patch}
	for p.next() {
		var err error
		switch {
		case strings.HasPrefix(p.line, "--- "):
			err = p.head()
		case strings.HasPrefix(p.line, "@@ "):
			err = p.hunk()
		case strings.HasPrefix(p.line, "+++ "):
			err = p.errorf("a line \"--- FILE\" is missing before it")
		case strings.HasPrefix(p.line, "rename from ") || strings.HasPrefix(p.line, "copy from "):
			err = p.errorf("files can be neither renamed nor copied by a patch")
		case strings.HasPrefix(p.line, "GIT binary patch") || strings.HasPrefix(p.line, "Binary files "):
			err = p.errorf("binary files cannot be patched")
		case strings.HasPrefix(p.line, "diff "), p.line == "-- ": // which is before git's version
			p.inHunks = false
		case p.inHunks && p.line != "" && strings.IndexByte(" +-", p.line[0]) >= 0:
			err = p.errorf("a line more than the head of hunk %d says", len(p.files[len(p.files)-1].hunks))
		}
		if err != nil {
			return nil, err
		}
	}
	for _, file := range p.files {
		if len(file.hunks) == 0 {
			return nil, fmt.Errorf("%w: it has no hunk for %q", ErrPatch, file.Path)
		}
	}
	if len(p.files) == 0 {
		return nil, fmt.Errorf("%w: it has no line \"--- FILE\"", ErrPatch)
	}
	return p.files, nil
}

type patchParser struct {
	rest    string
	line    string // without its end
	number  int
	files   []FilePatch
	hunks   int
	inHunks bool
}

// next goes to the next line, and reports whether there is one.
func (p *patchParser) next() bool {
	if p.rest == "" {
		return false
	}
	p.line, p.rest, _ = strings.Cut(p.rest, "\n")
	p.number++
	return true
}

func (p *patchParser) errorf(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrPatch, p.number, fmt.Sprintf(format, args...))
}

// head parses the two lines that name a file.
func (p *patchParser) head() error {
	before := p.line[len("--- "):]
	if !p.next() || !strings.HasPrefix(p.line, "+++ ") {
		return p.errorf("after \"--- FILE\" comes \"+++ FILE\"")
	}
	from, err := fileName(before, "a/")
	if err != nil {
		return p.errorf("%v", err)
	}
	to, err := fileName(p.line[len("+++ "):], "b/")
	if err != nil {
		return p.errorf("%v", err)
	}
	file := FilePatch{Path: to, Create: from == nowhere, Delete: to == nowhere}
	switch {
	case file.Create && file.Delete:
		return p.errorf("it is about no file")
	case file.Delete:
		file.Path = from
	case !file.Create && from != to:
		return p.errorf("%q and %q are two files; name the same one in both lines", from, to)
	}
	if len(p.files) == MaxPatchFiles {
		return p.errorf("it has more than %d files", MaxPatchFiles)
	}
	p.files, p.inHunks = append(p.files, file), true
	return nil
}

// fileName returns the file that a line names, without git's prefix and without the time that may follow.
func fileName(name, prefix string) (string, error) {
	if strings.HasPrefix(name, `"`) {
		unquoted, err := strconv.QuotedPrefix(name)
		if err != nil {
			return "", fmt.Errorf("the name %s does not end", name)
		}
		if name, err = strconv.Unquote(unquoted); err != nil {
			return "", fmt.Errorf("%s is no name", unquoted)
		}
	} else {
		name, _, _ = strings.Cut(name, "\t")
		name = strings.TrimRight(name, " \r")
	}
	if name == nowhere {
		return name, nil
	}
	if name = strings.TrimPrefix(name, prefix); name == "" {
		return "", errors.New("it names no file")
	}
	return name, nil
}
