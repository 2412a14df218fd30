package fileserver

import (
	"fmt"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// archiveLine says what was packed.
func archiveLine(res *sandgatev1.ArchiveResponse) string {
	return fmt.Sprintf("Packed into %s: %d files and directories with %d bytes, in an archive of %d bytes.",
		shortPath(res.GetFile().GetPath()), res.GetEntries(), res.GetContentBytes(), res.GetFile().GetSize())
}

// extractContent says what was unpacked, and what was not.
func extractContent(res *sandgatev1.ExtractResponse) []*sandgatev1.Content {
	var out strings.Builder
	if res.GetFiles() == 0 && res.GetDirectories() == 0 {
		out.WriteString("[nothing was unpacked]\n")
	} else {
		fmt.Fprintf(&out, "Unpacked into %s: %d files, %d directories, %d bytes.\n",
			shortPath(res.GetDestination()), res.GetFiles(), res.GetDirectories(), res.GetBytes())
	}
	if res.GetSkippedTotal() > 0 {
		fmt.Fprintf(&out, "%d entries were left out:\n", res.GetSkippedTotal())
	}
	shown := int64(0)
	for _, skipped := range res.GetSkipped() {
		if out.Len()+len(skipped) > maxText-notesText {
			break
		}
		out.WriteString("- " + oneLine(skipped) + "\n")
		shown++
	}
	if more := res.GetSkippedTotal() - shown; more > 0 {
		fmt.Fprintf(&out, "- and %d more\n", more)
	}
	return textContent(strings.TrimSuffix(out.String(), "\n"))
}
