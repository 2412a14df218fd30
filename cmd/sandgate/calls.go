package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// callPage is how many calls are asked for at once.
const callPage = 1000

// callsCommand is `sandgate calls`.
func (a *app) callsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "calls",
		Short:   "Look at calls of tools, follow and cancel them",
		GroupID: groupUse,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Long: `Calls are kept for 24 hours, those of your tenant: what ran, where, and how it ended. A
call that was made with a --call-id can be followed and cancelled, and its result is kept,
too; without one it is written down when it has ended. ID is the gateway's name for a
call, or its call_id.`,
		Example: `  sandgate call shell_run --session $id --call-id build --json '{"command": "sleep 30; date"}'
  sandgate calls list --running
  sandgate calls attach build
  sandgate calls cancel build`,
	}
	cmd.AddCommand(a.callsList(), a.callsGet(), a.callsAttach(), a.callsCancel())
	return cmd
}

func (a *app) callsList() *cobra.Command {
	var asJSON bool
	var most int
	request := &sandgatev1.ListCallsRequest{}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List calls, the newest first",
		Args:    noArguments,
		Long: `Lists calls, the newest first. HOW says how a call ended: as its work did (ok, error,
timeout, …), in an error (not_found, …), or lost, with its gateway.`,
		RunE: interruptible(func(ctx context.Context, _ []string) error {
			if most < 0 {
				return usagef("--limit %d is less than nothing", most)
			}
			calls, err := a.listCalls(ctx, request, most)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(&sandgatev1.ListCallsResponse{Calls: calls})
			}
			rows := [][]string{{"ID", "CALL ID", "SESSION", "TOOL", "HOW", "AGE", "TOOK"}}
			for _, call := range calls {
				age := time.Since(call.GetCreatedAt().AsTime()).Round(time.Second).String()
				rows = append(rows, []string{call.GetId(), call.GetCallId(), call.GetSessionId(), call.GetTool(), howEnded(call), age, tookOf(call)})
			}
			return table(a.out, rows)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&request.SessionId, "session", "", "those in one session")
	flags.BoolVar(&request.Running, "running", false, "those that run and have a call_id")
	flags.IntVar(&most, "limit", 100, "how many at most; 0: all")
	flags.BoolVar(&asJSON, "json", false, "print them as JSON")
	return cmd
}

// listCalls asks for pages until there are as many as wanted. Zero: all.
func (a *app) listCalls(ctx context.Context, request *sandgatev1.ListCallsRequest, most int) ([]*sandgatev1.Call, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	var calls []*sandgatev1.Call
	for {
		request.PageSize = callPage
		if most > 0 {
			request.PageSize = int32(min(callPage, most-len(calls)))
		}
		page, err := c.calls.ListCalls(ctx, request)
		if err != nil {
			return nil, err
		}
		calls = append(calls, page.GetCalls()...)
		last := page.GetNextPageToken() == "" || page.GetNextPageToken() == request.GetPageToken()
		if last || most > 0 && len(calls) >= most {
			return calls, nil
		}
		request.PageToken = page.GetNextPageToken()
	}
}

// howEnded is where a call is, or how it ended, in a word.
func howEnded(call *sandgatev1.Call) string {
	switch {
	case call.GetState() != sandgatev1.CallState_CALL_STATE_ENDED:
		return strings.ToLower(strings.TrimPrefix(call.GetState().String(), "CALL_STATE_"))
	case call.GetError() != nil:
		return call.GetError().GetCode()
	case call.GetStatus() == sandgatev1.Status_STATUS_UNSPECIFIED: // it runs nothing that could fail by itself
		return "ok"
	default:
		return strings.ToLower(strings.TrimPrefix(call.GetStatus().String(), "STATUS_"))
	}
}

// tookOf is how long a call took.
func tookOf(call *sandgatev1.Call) string {
	if call.GetEndedAt() == nil {
		return "-"
	}
	return call.GetEndedAt().AsTime().Sub(call.GetCreatedAt().AsTime()).Round(time.Millisecond).String()
}

func (a *app) callsGet() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Describe a call",
		Args:  namedArguments,
		Long:  `Describes a call. What it produced is shown by "sandgate calls attach".`,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.calls.GetCall(ctx, &sandgatev1.GetCallRequest{Id: args[0]})
			if err != nil {
				return asCommand(err)
			}
			if asJSON {
				return a.printJSON(reply)
			}
			return table(a.out, describeCall(reply.GetCall()))
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON, with its result")
	return cmd
}

// describeCall is a call as two columns.
func describeCall(call *sandgatev1.Call) [][]string {
	rows := [][]string{{"id", call.GetId()}}
	if call.GetCallId() != "" {
		rows = append(rows, []string{"call_id", call.GetCallId()})
	}
	rows = append(rows, []string{"session", call.GetSessionId()}, []string{"tool", call.GetTool()}, []string{"how", howEnded(call)},
		[]string{"came", moment(call.GetCreatedAt())})
	if call.GetEndedAt() != nil {
		rows = append(rows, []string{"ended", moment(call.GetEndedAt())}, []string{"took", tookOf(call)})
	}
	if failure := call.GetError(); failure != nil {
		rows = append(rows, []string{"error", strings.TrimSpace(failure.GetReason() + " " + failure.GetMessage())}, []string{"to do", failure.GetHint()})
	}
	return rows
}

func (a *app) callsAttach() *cobra.Command {
	var after int64
	var show replyFlags
	cmd := &cobra.Command{
		Use:   "attach ID",
		Short: "Follow a call to its end and print what it produced",
		Args:  namedArguments,
		Long: `Follows a call that was made with a --call-id, and then prints what it produced and exits
as "sandgate call" does; at once where it has ended. Leaving does not end the call. Where
the connection breaks, it is followed again.`,
		Example: `  sandgate calls attach build
  sandgate calls attach build --events --after 120`,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			if after < 0 {
				return usagef("--after %d is less than nothing", after)
			}
			if err := show.check(); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			follower := &callFollower{app: a, client: c, callID: args[0], events: show.events, last: after}
			reply, err := follower.attach(ctx, nil)
			if err != nil {
				return asCommand(err)
			}
			return a.showReply(reply, show)
		}),
	}
	cmd.Flags().Int64Var(&after, "after", 0, "the number (sequence) of the last event that you have")
	show.add(cmd)
	return cmd
}

func (a *app) callsCancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "End a call that was made with a --call-id; what it did stays done",
		Args:  namedArguments,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.calls.CancelCall(ctx, &sandgatev1.CancelCallRequest{Id: args[0]})
			if err != nil {
				return asCommand(err)
			}
			said := "the call was told to end"
			if !reply.GetCancelled() {
				said = "there was nothing to cancel: the call has ended, or runs at no gateway that can be told"
			}
			_, _ = fmt.Fprintln(a.err, said) // for people
			return nil
		}),
	}
}

// asCommand is an error about a call in the words of the command line.
func asCommand(err error) error { return hintTo("ListCalls", "`sandgate calls list`", err) }

// suggestCalls offers the calls of the gateway that can be named, by the names that people gave them.
func (a *app) suggestCalls(running bool) suggester {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		calls, _ := a.listCalls(ctx, &sandgatev1.ListCallsRequest{Running: running}, 100) // none where it fails
		var ids []cobra.Completion
		for _, call := range calls {
			if id := call.GetCallId(); id != "" && fitForHeader(id) {
				ids = append(ids, cobra.CompletionWithDesc(id, printable(call.GetTool())+", "+howEnded(call)))
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
