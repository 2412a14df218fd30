package archive

import "strings"

// Bounds of names, in bytes and in parts.
const (
	maxName  = 4096
	maxPart  = 255
	maxParts = 128 // as deep as other tools look
)

// Clean returns the name under which an entry is unpacked, relative and without needless parts, or why it is
// left out. Both are empty for the directory itself.
func Clean(raw string) (name, why string) {
	switch {
	case strings.ContainsRune(raw, 0):
		return "", "its name has a NUL"
	case strings.HasPrefix(raw, "/"):
		return "", "its name is absolute"
	}
	parts := make([]string, 0, 8)
	for part := range strings.SplitSeq(raw, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return "", "leaves the directory"
		case len(part) > maxPart:
			return "", "its name is too long"
		case len(parts) == maxParts:
			return "", "it is too many directories deep"
		}
		parts = append(parts, part)
	}
	if name = strings.Join(parts, "/"); len(name) > maxName {
		return "", "its name is too long"
	}
	return name, ""
}
