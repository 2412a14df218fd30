package fileserver

import (
	"fmt"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// keptLine says what a copy of the files holds.
func keptLine(verb string, kept *sandgatev1.Snapshot) string {
	return fmt.Sprintf("%s %s: %d files, %d directories.", verb, kept.GetName(), kept.GetFiles(), kept.GetDirectories())
}

// changesContent shows what has changed, one path a line, each with its diff.
func changesContent(res *sandgatev1.GetChangesResponse) []*sandgatev1.Content {
	total := res.GetAdded() + res.GetModified() + res.GetRemoved()
	if total == 0 {
		return textContent(fmt.Sprintf("[nothing has changed since %s]", res.GetCheckpoint().GetName()))
	}
	note := fmt.Sprintf("[since %s: %d added, %d modified, %d removed", res.GetCheckpoint().GetName(), res.GetAdded(), res.GetModified(), res.GetRemoved())
	var out strings.Builder
	for i, change := range res.GetChanges() {
		line := changeLine(change)
		if out.Len()+len(line) > maxText-notesText {
			fmt.Fprintf(&out, "%s]\n[%d more of this page are not shown; ask with a smaller page_size]", note, len(res.GetChanges())-i)
			return textContent(out.String())
		}
		out.WriteString(line)
		if diff := change.GetDiff(); out.Len()+len(diff) <= maxText-notesText {
			out.WriteString(diff)
		} else {
			out.WriteString("  [its diff is not shown; file_read shows it as it is]\n")
		}
	}
	out.WriteString(note)
	if res.GetNextPageToken() != "" {
		out.WriteString("; to go on, use page_token=" + res.GetNextPageToken())
	}
	return textContent(out.String() + "]")
}

// undoContent shows what an undo has done.
func undoContent(res *sandgatev1.UndoResponse) []*sandgatev1.Content {
	total := res.GetAdded() + res.GetModified() + res.GetRemoved()
	if total == 0 {
		return textContent(fmt.Sprintf("[everything is as in %s: nothing was changed]", res.GetCheckpoint().GetName()))
	}
	var out strings.Builder
	for _, change := range res.GetChanges() {
		if out.Len() > maxText-notesText {
			break
		}
		out.WriteString(changeLine(change))
	}
	fmt.Fprintf(&out, "[as in %s again: %d brought back, %d with their content of then, %d removed; to undo this, undo to %s]",
		res.GetCheckpoint().GetName(), res.GetAdded(), res.GetModified(), res.GetRemoved(), res.GetBefore().GetName())
	return textContent(out.String())
}

// changeLine says what happened to a path.
func changeLine(change *sandgatev1.WorkspaceChange) string {
	sign := map[sandgatev1.WorkspaceChangeKind]string{
		sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_ADDED:    "A",
		sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_MODIFIED: "M",
		sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_REMOVED:  "D",
	}[change.GetKind()]
	name := shortPath(change.GetPath())
	switch change.GetType() {
	case sandgatev1.FileType_FILE_TYPE_DIRECTORY:
		return sign + " " + name + "/\n"
	case sandgatev1.FileType_FILE_TYPE_FILE:
		return fmt.Sprintf("%s %s (%d to %d bytes)\n", sign, name, change.GetSizeBefore(), change.GetSizeAfter())
	default:
		return sign + " " + name + "\n"
	}
}
