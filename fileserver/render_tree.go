package fileserver

import (
	"fmt"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// treeContent shows a tree by indentation. What is left out of a directory stands behind its name.
func treeContent(res *sandgatev1.TreeResponse) []*sandgatev1.Content {
	var out strings.Builder
	left := res.GetUnlisted()
	out.WriteString(strings.TrimSuffix(oneLine(res.GetPath()), "/") + "/" + unlisted(left) + "\n")
	for i, entry := range res.GetEntries() {
		line := strings.Repeat("  ", int(entry.GetDepth())) + treeLine(entry) + "\n"
		if out.Len()+len(line) > maxText-notesText {
			fmt.Fprintf(&out, "[%d more entries are not shown; use max_entries=%d, or the path of a directory]", len(res.GetEntries())-i, i)
			return textContent(out.String())
		}
		out.WriteString(line)
		left += entry.GetUnlisted()
	}
	if left > 0 {
		out.WriteString("[for what is left out, use the path of its directory, or more depth and max_entries]")
	}
	return textContent(strings.TrimSuffix(out.String(), "\n"))
}

// treeLine is one entry of a tree.
func treeLine(entry *sandgatev1.TreeEntry) string {
	name := oneLine(entry.GetName())
	switch entry.GetType() {
	case sandgatev1.FileType_FILE_TYPE_DIRECTORY:
		if entry.GetUnreadable() {
			return name + "/ [cannot be read]"
		}
		return name + "/" + unlisted(entry.GetUnlisted())
	case sandgatev1.FileType_FILE_TYPE_SYMLINK:
		return name + " -> " + oneLine(entry.GetSymlinkTarget())
	case sandgatev1.FileType_FILE_TYPE_FILE:
		return name + " " + shortSize(entry.GetSize())
	case sandgatev1.FileType_FILE_TYPE_OTHER, sandgatev1.FileType_FILE_TYPE_UNSPECIFIED:
		return name + " [special]"
	default:
		return name + " [special]"
	}
}

func unlisted(count int64) string {
	if count == 0 {
		return ""
	}
	return fmt.Sprintf(" [%d more]", count)
}

// shortSize is a size in few characters.
func shortSize(size int64) string {
	const step = 1024
	if size < step {
		return fmt.Sprint(size)
	}
	value := float64(size)
	unit := -1
	for value >= step && unit < len("KMGTPE")-1 {
		value, unit = value/step, unit+1
	}
	return fmt.Sprintf("%.1f%c", value, "KMGTPE"[unit])
}
