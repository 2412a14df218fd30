package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func (a *app) sessionList() *cobra.Command {
	var asJSON bool
	var labels map[string]string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List sessions, oldest first",
		Long: `Lists the sessions that were not deleted, oldest first. One whose sandbox is gone is
"lost": nothing runs in it any more, and ` + "`sandgate session get`" + ` says why.`,
		Args: noArguments,
		RunE: interruptible(func(ctx context.Context, _ []string) error {
			sessions, err := a.allSessions(ctx, labels)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(&sandgatev1.ListSessionsResponse{Sessions: sessions})
			}
			rows := [][]string{{"ID", "STATE", "TEMPLATE", "RUNTIME", "AGE", "UNUSED UNTIL"}}
			for _, s := range sessions {
				rows = append(rows, []string{
					s.GetId(), stateName(s.GetState()), s.GetTemplate(), s.GetRuntime(),
					time.Since(s.GetCreatedAt().AsTime()).Round(time.Second).String(),
					unusedUntil(s),
				})
			}
			return table(a.out, rows)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	cmd.Flags().StringToStringVar(&labels, "label", nil, "only sessions with this label, as KEY=VALUE")
	return cmd
}

// allSessions asks for every page.
func (a *app) allSessions(ctx context.Context, labels map[string]string) ([]*sandgatev1.Session, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	var sessions []*sandgatev1.Session
	request := &sandgatev1.ListSessionsRequest{Metadata: labels}
	for {
		page, err := c.sessions.ListSessions(ctx, request)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, page.GetSessions()...)
		if page.GetNextPageToken() == "" || page.GetNextPageToken() == request.PageToken {
			return sessions, nil
		}
		request.PageToken = page.GetNextPageToken()
	}
}

func (a *app) sessionExtend() *cobra.Command {
	var idle string
	cmd := &cobra.Command{
		Use:   "extend ID",
		Short: "Renew a session's lease, and change its length if asked",
		Args:  namedArguments,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			request := &sandgatev1.ExtendSessionRequest{SessionId: args[0]}
			if idle != "" {
				if err := into(&request.IdleTimeout, parseDuration)(idle); err != nil {
					return usagef("--idle: %w", err)
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.sessions.ExtendSession(ctx, request)
			if err != nil {
				return aboutSession(args[0], inFlags(err))
			}
			_, err = fmt.Fprintln(a.out, unusedUntil(reply.GetSession()))
			return err
		}),
	}
	cmd.Flags().StringVar(&idle, "idle", "", "new length of the lease, such as 30m; 24h at most")
	return cmd
}

func (a *app) sessionRelease() *cobra.Command {
	return &cobra.Command{
		Use:   "release ID",
		Short: "Have a deferred session give its sandbox up, until something runs again",
		Long: `The files of the session go back to where they were before something ran. Everything that
runs in it ends, Python's state included, and what is outside of /home/user is gone.`,
		Args: namedArguments,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			_, err = c.sessions.ReleaseSandbox(ctx, &sandgatev1.ReleaseSandboxRequest{SessionId: args[0]})
			return aboutSession(args[0], err)
		}),
	}
}

func (a *app) sessionDelete() *cobra.Command {
	var discard bool
	cmd := &cobra.Command{
		Use:     "delete ID…",
		Aliases: []string{"rm"},
		Short:   "End sessions: what runs in them is killed, their files are gone",
		Long: `Ends sessions. Files of a session that was made with --persist are saved first; where that
fails, it goes on.`,
		Args: namedArguments,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			code := 0
			for _, id := range args { // one that fails keeps none of the others alive
				_, err := c.sessions.DeleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: id, Discard: discard})
				if err != nil && ctx.Err() != nil {
					return err
				}
				switch {
				case errorReason(err) == "SESSION_NOT_FOUND":
					code = a.report(aboutSession(id, err))
				case err != nil:
					code = a.report(fmt.Errorf("delete session %s: %w", id, err))
				}
			}
			return exitWith(code)
		}),
	}
	cmd.Flags().BoolVar(&discard, "discard", false, "do not save files that were to persist once more")
	return cmd
}
