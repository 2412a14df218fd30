package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func (a *app) workspaceChanges() *cobra.Command {
	var diffs, asJSON bool
	cmd := &cobra.Command{
		Use:   "changes SESSION [CHECKPOINT]",
		Short: "Tell what has changed since a checkpoint, the newest that no undo has made unless named",
		Long: `Prints a line for every path that is not as it was: A for added, M for modified, D for
removed. It goes by content and mode, not by time.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			request := &sandgatev1.GetChangesRequest{SessionId: args[0], Checkpoint: second(args), NoDiffs: !diffs && !asJSON}
			for {
				page, err := c.workspaces.GetChanges(ctx, request)
				if err != nil {
					return aboutSession(args[0], err)
				}
				if asJSON {
					err = a.printJSON(page)
				} else {
					err = a.printChanges(page.GetChanges())
				}
				if err != nil || page.GetNextPageToken() == "" || page.GetNextPageToken() == request.GetPageToken() {
					return err
				}
				request.PageToken = page.GetNextPageToken()
				request.Checkpoint = page.GetCheckpoint().GetName() // another may have been made meanwhile
			}
		}),
	}
	cmd.Flags().BoolVar(&diffs, "diff", false, "show how text has changed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON, an object for every page")
	return cmd
}

func (a *app) workspaceUndo() *cobra.Command {
	var paths []string
	cmd := &cobra.Command{
		Use:   "undo SESSION [CHECKPOINT]",
		Short: "Bring the files back to a checkpoint, the newest that no undo has made unless named",
		Long: `Removes what was added since, and brings back what was modified or removed. The files as
they were before are kept as another checkpoint first, which is printed alone on stdout: undo
to it, and this is undone.`,
		Example: `  before=$(sandgate workspace undo $id cp1 --path src)
  sandgate workspace undo $id $before`,
		Args: cobra.RangeArgs(1, 2),
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.workspaces.Undo(ctx, &sandgatev1.UndoRequest{SessionId: args[0], Checkpoint: second(args), Paths: paths})
			if err != nil {
				return aboutSession(args[0], err)
			}
			_, _ = fmt.Fprintf(a.err, "As in %s again: %d brought back, %d with their content of then, %d removed.\n",
				printable(reply.GetCheckpoint().GetName()), reply.GetAdded(), reply.GetModified(), reply.GetRemoved())
			if reply.GetUnnamed() > 0 {
				_, _ = fmt.Fprintf(a.err, "%d of them stay, as their names are not UTF-8: remove them with sandgate sh.\n", reply.GetUnnamed())
			}
			_, _ = fmt.Fprintf(a.err, "To take this back: sandgate workspace undo %s %s\n", args[0], printable(reply.GetBefore().GetName()))
			_, err = fmt.Fprintln(a.out, printable(reply.GetBefore().GetName()))
			return err
		}),
	}
	cmd.Flags().StringArrayVar(&paths, "path", nil, "only this path and what is below it; may be repeated")
	return cmd
}

// second returns the second argument, empty for none.
func second(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

// printChanges prints a line for every change, with its diff where there is one.
func (a *app) printChanges(changes []*sandgatev1.WorkspaceChange) error {
	var out strings.Builder
	for _, change := range changes {
		sign := map[sandgatev1.WorkspaceChangeKind]string{
			sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_ADDED:    "A",
			sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_MODIFIED: "M",
			sandgatev1.WorkspaceChangeKind_WORKSPACE_CHANGE_KIND_REMOVED:  "D",
		}[change.GetKind()]
		slash := ""
		if change.GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY {
			slash = "/"
		}
		fmt.Fprintf(&out, "%s %s%s\n", sign, printable(strings.TrimPrefix(change.GetPath(), "/home/user/")), slash)
		out.WriteString(printable(change.GetDiff()))
	}
	_, err := fmt.Fprint(a.out, out.String())
	return err
}
