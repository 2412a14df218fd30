package fileserver

import (
	"fmt"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// linesContent shows lines of a file, with a line on how to go on where more remains.
func linesContent(res *sandgatev1.ReadResponse) []*sandgatev1.Content {
	text := res.GetText()
	if len(res.GetData()) > 0 {
		return dataContent(res.GetData(), res.GetNextOffset()-int64(len(res.GetData())), res)
	}
	of := ""
	if res.GetTotalLines() > 0 {
		of = fmt.Sprintf(" of %d", res.GetTotalLines())
	}
	if text == "" {
		return textContent(fmt.Sprintf("[nothing: line %d%s is beyond the end]", res.GetStartLine(), of))
	}
	shown := head(text, maxText-notesText)
	ends := int64(strings.Count(shown, "\n"))
	first, next := res.GetStartLine(), res.GetNextLine()
	if len(shown) < len(text) {
		next = first + ends
	}
	whole := strings.HasSuffix(shown, "\n")
	if !whole {
		shown, ends = shown+"\n", ends+1
	}
	start := res.GetNextOffset() - int64(len(text))
	if end := start + int64(len(head(text, maxText-notesText))); !whole && end < res.GetTotalSize() {
		return textContent(fmt.Sprintf("%s[a part of line %d%s; to go on in it, read with offset=%d]", shown, first+ends-1, of, end))
	}
	switch {
	case next > 0:
		return textContent(fmt.Sprintf("%s[lines %d to %d%s; to go on, read with start_line=%d]", shown, first, first+ends-1, of, next))
	case first > 1:
		return textContent(fmt.Sprintf("%s[lines %d to %d%s, the end]", shown, first, first+ends-1, of))
	default:
		return textContent(text)
	}
}
