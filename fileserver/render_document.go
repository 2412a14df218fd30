package fileserver

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// Bounds of the table of contents before a text.
const (
	maxContents = 40
	maxTitle    = 100 // bytes
)

// documentContent shows what was read of a document: what it is, where its parts are when the text is not
// all of them, the text, and how to go on.
func documentContent(res *sandgatev1.ReadDocumentResponse) []*sandgatev1.Content {
	var about strings.Builder
	if res.GetProblem() != "" { // first, so that no title is long enough to hide it
		fmt.Fprintf(&about, "[not all could be read: %s]\n", oneLine(res.GetProblem()))
	}
	fmt.Fprintf(&about, "[%s", oneLine(res.GetFormat()))
	for _, key := range slices.Sorted(maps.Keys(res.GetProperties())) {
		fmt.Fprintf(&about, "; %s: %s", oneLine(key), oneLine(res.GetProperties()[key]))
	}
	about.WriteString("]\n")
	size := int64(len(res.GetText()))
	start := max(res.GetNextOffset()-size, 0)
	if size < res.GetTotalSize() && start == 0 {
		writeContents(&about, res)
	}
	if res.GetTotalSize() == 0 {
		about.WriteString("[nothing: no part that was asked for is there, or has what was searched for; without parts and search everything is read]\n")
	}
	text := head(res.GetText(), maxText-notesText)
	var tail string
	if end := start + int64(len(text)); end < res.GetTotalSize() {
		tail = fmt.Sprintf("\n[bytes %d to %d of %d; to go on, read with offset=%d, or ask for parts]", start, end, res.GetTotalSize(), end)
	}
	content := textContent(head(about.String(), notesText) + "\n" + strings.TrimRight(text, "\n") + "\n" + tail)
	for _, image := range res.GetImages() {
		content = append(content, &sandgatev1.Content{Part: &sandgatev1.Content_Image{Image: &sandgatev1.Image{MimeType: "image/png", Data: image.GetPng()}}})
	}
	return content
}

// writeContents lists the parts of a document that is longer than its reply.
func writeContents(b *strings.Builder, res *sandgatev1.ReadDocumentResponse) {
	for _, part := range res.GetParts()[:min(len(res.GetParts()), maxContents)] {
		fmt.Fprintf(b, "- %s %s (offset %d, %d bytes)\n", oneLine(part.GetLocation()), oneLine(guestrpc.Clip(part.GetTitle(), maxTitle)), part.GetOffset(), part.GetSize())
	}
	if more := int64(len(res.GetParts())-maxContents) + res.GetUnlistedParts(); more > 0 && len(res.GetParts()) > maxContents {
		fmt.Fprintf(b, "- and %d more\n", more)
	}
}
