package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// workspaceCommand is `sandgate workspace`.
func (a *app) workspaceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "workspace",
		Short:   "Keep files of sessions, tell what has changed, and take it back",
		GroupID: groupUse,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Long: `The files of a session can be kept under a name, and other sessions can begin with them
(sandgate session create --from NAME). A checkpoint keeps them until the session ends: to
tell what has changed since, and to go back.`,
		Example: `  sandgate workspace save $id report
  id=$(sandgate session create --from report --persist)

  sandgate workspace checkpoint $id
  sandgate sh --session $id -c 'make clean all'
  sandgate workspace changes $id
  sandgate workspace undo $id`,
	}
	cmd.AddCommand(
		a.workspaceSave(), a.workspaceList(), a.workspaceDelete(),
		a.workspaceCheckpoint(), a.workspaceCheckpoints(), a.workspaceChanges(), a.workspaceUndo(),
	)
	return cmd
}

func (a *app) workspaceSave() *cobra.Command {
	var label string
	cmd := &cobra.Command{
		Use:   "save SESSION NAME",
		Short: "Keep the files of a session under a name, in place of what it had",
		Args:  cobra.ExactArgs(2),
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.workspaces.SaveWorkspace(ctx, &sandgatev1.SaveWorkspaceRequest{SessionId: args[0], Name: args[1], Label: label})
			if err != nil {
				return aboutSession(args[0], err)
			}
			return a.printKept(reply.GetWorkspace())
		}),
	}
	cmd.Flags().StringVar(&label, "label", "", "what is to be said of it in lists")
	return cmd
}

func (a *app) workspaceList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what is kept under names",
		Args:    noArguments,
		RunE: interruptible(func(ctx context.Context, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all := &sandgatev1.ListWorkspacesResponse{}
			for request := (&sandgatev1.ListWorkspacesRequest{}); ; {
				page, err := c.workspaces.ListWorkspaces(ctx, request)
				if err != nil {
					return err
				}
				all.Workspaces = append(all.Workspaces, page.GetWorkspaces()...)
				if page.GetNextPageToken() <= request.GetPageToken() {
					break
				}
				request.PageToken = page.GetNextPageToken()
			}
			if asJSON {
				return a.printJSON(all)
			}
			return a.tableOfKept(all.GetWorkspaces())
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return cmd
}

func (a *app) workspaceDelete() *cobra.Command {
	return &cobra.Command{
		Use:     "delete NAME…",
		Aliases: []string{"rm"},
		Short:   "Remove what is kept under names",
		Args:    namedArguments,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			code := 0
			for _, name := range args {
				if _, err := c.workspaces.DeleteWorkspace(ctx, &sandgatev1.DeleteWorkspaceRequest{Name: name}); err != nil {
					if ctx.Err() != nil {
						return err
					}
					code = a.report(fmt.Errorf("delete workspace %s: %w", name, err))
				}
			}
			return exitWith(code)
		}),
	}
}

func (a *app) workspaceCheckpoint() *cobra.Command {
	var label string
	cmd := &cobra.Command{
		Use:   "checkpoint SESSION",
		Short: "Keep the files of a session as they are, and print the checkpoint's id",
		Args:  cobra.ExactArgs(1),
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.workspaces.CreateCheckpoint(ctx, &sandgatev1.CreateCheckpointRequest{SessionId: args[0], Label: label})
			if err != nil {
				return aboutSession(args[0], err)
			}
			_, err = fmt.Fprintln(a.out, printable(reply.GetCheckpoint().GetName()))
			return err
		}),
	}
	cmd.Flags().StringVar(&label, "label", "", "what is to be said of it in lists")
	return cmd
}

func (a *app) workspaceCheckpoints() *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoints SESSION",
		Short: "List the checkpoints of a session, oldest first",
		Args:  cobra.ExactArgs(1),
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.workspaces.ListCheckpoints(ctx, &sandgatev1.ListCheckpointsRequest{SessionId: args[0]})
			if err != nil {
				return aboutSession(args[0], err)
			}
			return a.tableOfKept(reply.GetCheckpoints())
		}),
	}
}

// printKept says in one line what is kept.
func (a *app) printKept(kept *sandgatev1.Snapshot) error {
	_, err := fmt.Fprintf(a.out, "%s: %d files, %d directories, %s\n",
		printable(kept.GetName()), kept.GetFiles(), kept.GetDirectories(), roundSize(kept.GetStoredBytes()))
	return err
}

// tableOfKept prints what is kept.
func (a *app) tableOfKept(all []*sandgatev1.Snapshot) error {
	rows := [][]string{{"NAME", "AGE", "FILES", "SIZE", "LABEL"}}
	for _, kept := range all {
		rows = append(rows, []string{
			printable(kept.GetName()), time.Since(kept.GetCreatedAt().AsTime()).Round(time.Second).String(),
			fmt.Sprint(kept.GetFiles()), roundSize(kept.GetStoredBytes()), strings.Join(strings.Fields(printable(kept.GetLabel())), " "),
		})
	}
	return table(a.out, rows)
}
