package fileserver

import (
	"fmt"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// copyLine says what was copied.
func copyLine(res *sandgatev1.CopyResponse) string {
	line := fmt.Sprintf("Copied to %s: %d files, %d directories, %d bytes.",
		oneLine(res.GetFile().GetPath()), res.GetFiles(), res.GetDirectories(), res.GetBytes())
	if res.GetSkipped() > 0 {
		line += fmt.Sprintf(" %d FIFOs, sockets or devices were left out.", res.GetSkipped())
	}
	return line
}

// hashContent shows hashes as sha256sum does.
func hashContent(res *sandgatev1.HashResponse) []*sandgatev1.Content {
	var out strings.Builder
	for i, file := range res.GetFiles() {
		line := file.GetHash() + "  " + shortPath(file.GetPath()) + "\n"
		if out.Len()+len(line) > maxText-notesText {
			fmt.Fprintf(&out, "[%d more are not shown; hash fewer files at once]", len(res.GetFiles())-i)
			break
		}
		out.WriteString(line)
	}
	return textContent(strings.TrimSuffix(out.String(), "\n"))
}

// diffContent shows a diff, and how to go on.
func diffContent(res *sandgatev1.DiffResponse) []*sandgatev1.Content {
	switch {
	case res.GetEqual():
		return textContent("[the same, byte for byte]")
	case res.GetBinary():
		return textContent("[they differ, and are not both text]")
	}
	shown := head(res.GetDiff(), maxText-notesText)
	note := fmt.Sprintf("[%d lines added, %d removed", res.GetAdded(), res.GetRemoved())
	if end := res.GetNextOffset() - int64(len(res.GetDiff())-len(shown)); end < res.GetTotalSize() {
		note += fmt.Sprintf("; up to byte %d of %d of the diff; to go on, use offset=%d", end, res.GetTotalSize(), end)
	}
	if !strings.HasSuffix(shown, "\n") {
		shown += "\n"
	}
	return textContent(shown + note + "]")
}

// patchContent shows what a patch did, one file a line, and the hunks that were not where it named them.
func patchContent(res *sandgatev1.PatchResponse) []*sandgatev1.Content {
	var out strings.Builder
	for _, file := range res.GetFiles() {
		verb := "Changed"
		switch file.GetChange() {
		case sandgatev1.ChangeType_CHANGE_TYPE_CREATE:
			verb = "Created"
		case sandgatev1.ChangeType_CHANGE_TYPE_REMOVE:
			verb = "Removed"
		default:
		}
		fmt.Fprintf(&out, "%s %s: +%d -%d\n", verb, shortPath(file.GetPath()), file.GetAdded(), file.GetRemoved())
		for i, hunk := range file.GetHunks() {
			if hunk.GetShift() != 0 {
				fmt.Fprintf(&out, "  hunk %d fitted elsewhere (%+d lines), at line %d\n", i+1, hunk.GetShift(), hunk.GetLine())
			}
		}
	}
	if res.GetDryRun() {
		out.WriteString("[only checked: nothing was written]")
	}
	text := strings.TrimSuffix(out.String(), "\n")
	if shown := head(text, maxText-notesText); shown != text {
		return textContent(shown + "[and so on]")
	}
	return textContent(text)
}
