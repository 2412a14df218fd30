package fileserver

import (
	"fmt"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// home is what paths are relative to. Within it they are shown so, since that is shorter.
const home = "/home/user"

// shortPath is a path in one line, as the tools take it.
func shortPath(path string) string {
	if short := strings.TrimPrefix(path, home+"/"); short != "" {
		return oneLine(short)
	}
	return path
}

// globContent shows paths, one a line.
func globContent(res *sandgatev1.GlobResponse) []*sandgatev1.Content {
	var out strings.Builder
	for i, info := range res.GetFiles() {
		line := shortPath(info.GetPath())
		if info.GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY {
			line += "/"
		}
		if out.Len()+len(line) > maxText-notesText {
			fmt.Fprintf(&out, "[%d more paths of this page are not shown; use page_size=%d to see them page by page]", len(res.GetFiles())-i, i)
			return textContent(out.String())
		}
		out.WriteString(line + "\n")
	}
	var notes []string
	if len(res.GetFiles()) == 0 {
		notes = append(notes, "nothing matches so far")
		if res.GetNextPageToken() == "" {
			notes = []string{"nothing matches"}
		}
	}
	if res.GetUnreadable() > 0 {
		notes = append(notes, fmt.Sprintf("%d directories could not be read", res.GetUnreadable()))
	}
	if token := res.GetNextPageToken(); token != "" {
		notes = append(notes, fmt.Sprintf("to go on, use page_token=%q", token))
	}
	return textContent(strings.TrimSuffix(out.String()+noteLine(notes), "\n"))
}

// noteLine is what is said about a reply, in brackets, empty for nothing.
func noteLine(notes []string) string {
	if len(notes) == 0 {
		return ""
	}
	return "[" + strings.Join(notes, "; ") + "]"
}

// grepContent shows matches by file, with the numbers of their lines, and how to go on.
func grepContent(res *sandgatev1.GrepResponse) []*sandgatev1.Content {
	var out strings.Builder
	shown := 0
	for _, file := range res.GetFiles() {
		var part strings.Builder
		part.WriteString(shortPath(file.GetPath()) + "\n")
		before := int64(0)
		matches := 0
		for i, line := range file.GetLines() {
			if i > 0 && line.GetNumber() > before+1 && hasContext(file) {
				part.WriteString("--\n")
			}
			before = line.GetNumber()
			part.WriteString(grepLine(line))
			if !line.GetContext() {
				matches++
			}
		}
		if out.Len()+part.Len() > maxText-notesText {
			fmt.Fprintf(&out, "[%d more matches of this page are not shown; use max_matches=%d to see them page by page]",
				int(res.GetMatches())-shown, max(shown, 1))
			return textContent(out.String())
		}
		out.WriteString(part.String())
		shown += matches
	}
	notes := []string{fmt.Sprintf("%d matches in %d of %d files searched", res.GetMatches(), len(res.GetFiles()), res.GetSearched())}
	if res.GetBinary() > 0 {
		notes = append(notes, fmt.Sprintf("%d binary files left out", res.GetBinary()))
	}
	if res.GetUnreadable() > 0 {
		notes = append(notes, fmt.Sprintf("%d could not be read", res.GetUnreadable()))
	}
	if token := res.GetNextPageToken(); token != "" {
		notes = append(notes, fmt.Sprintf("to go on, use page_token=%q", token))
	}
	return textContent(out.String() + noteLine(notes))
}

// hasContext reports whether lines around matches are shown.
func hasContext(file *sandgatev1.GrepFile) bool {
	for _, line := range file.GetLines() {
		if line.GetContext() {
			return true
		}
	}
	return false
}

// grepLine is a line as grep -n shows it.
func grepLine(line *sandgatev1.GrepLine) string {
	mark, end := ":", ""
	if line.GetContext() {
		mark = "-"
	}
	if line.GetClipped() {
		end = " [clipped]"
	}
	return fmt.Sprintf("%d%s%s%s\n", line.GetNumber(), mark, keepTabs(line.GetText()), end)
}

// keepTabs is text in one line, in which tabs stay.
func keepTabs(text string) string {
	parts := strings.Split(text, "\t")
	for i, part := range parts {
		parts[i] = oneLine(part)
	}
	return strings.Join(parts, "\t")
}
