package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// whoAmICommand is `sandgate whoami`.
func (a *app) whoAmICommand() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Say who the gateway takes you for, and what you may do",
		GroupID: groupUse,
		Args:    noArguments,
		RunE: interruptible(func(ctx context.Context, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			reply, err := c.identity.WhoAmI(ctx, &sandgatev1.WhoAmIRequest{})
			if err != nil {
				return err
			}
			if a.env.Get(keyVariable) != "" && reply.GetPrincipal().GetId() == "" {
				a.notef("%s was not looked at, as this gateway has no keys; `sandgate key create` says in which state folder it makes one", keyVariable)
			}
			return table(a.out, principalRows(reply.GetPrincipal()))
		}),
	}
}

// principalRows shows who somebody is.
func principalRows(p *sandgatev1.Principal) [][]string {
	id := p.GetId()
	if id == "" {
		id = "nobody in particular: the gateway has no keys"
	}
	rows := [][]string{{"tenant", p.GetTenant()}, {"id", id}, {"scopes", orAll(p.GetScopes())}, {"tools", orAll(p.GetTools())}}
	if !p.GetAllScopes() && len(p.GetScopes()) == 0 {
		rows[2][1] = "none"
	}
	if !p.GetAllTools() && len(p.GetTools()) == 0 {
		rows[3][1] = "none"
	}
	if session := p.GetSessionId(); session != "" {
		rows = append(rows, []string{"session", session})
	}
	if p.GetExpiresAt() != nil {
		rows = append(rows, []string{"expires", p.GetExpiresAt().AsTime().Format(time.DateTime)})
	}
	return rows
}

// tokenCommand is `sandgate token`.
func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Hand a part of what you may do to an agent",
		GroupID: groupUse,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Example: `  sandgate token create --session $id --tools python_run,file_read --lifetime 1h`,
	}
	cmd.AddCommand(a.tokenCreate())
	return cmd
}

func (a *app) tokenCreate() *cobra.Command {
	req := &sandgatev1.CreateTokenRequest{}
	var lifetime string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a short-lived token, and print it once",
		Args:  noArguments,
		Long: `Prints a token alone on stdout. It can only do less than you, ends with your key, and is
used like one: SANDGATE_KEY=TOKEN, or Authorization: Bearer TOKEN.`,
	}
	flags := cmd.Flags()
	flags.StringVar(&req.SessionId, "session", "", "the only session it may use (default all of yours)")
	flags.StringSliceVar(&req.Scopes, "scopes", nil, "what it may do, comma-separated (default what you may)")
	flags.StringSliceVar(&req.Tools, "tools", nil, "the tools it may call, comma-separated (default what you may)")
	flags.StringVar(&lifetime, "lifetime", "", "how long it lasts, at most 24h (default 15m)")
	budget := &sandgatev1.TokenBudget{}
	flags.Int64Var(&budget.Calls, "calls", 0, "how many calls may run something or touch files with it (default what you may)")
	flags.Int64Var(&budget.CpuSeconds, "cpu-seconds", 0, "how much processor time they may take (default what you may)")
	flags.Var(&sizeFlag{&budget.OutputBytes}, "output-bytes", "how many bytes of replies it may get (default what you may)")
	cmd.RunE = interruptible(func(ctx context.Context, _ []string) error {
		if lifetime != "" {
			life, err := config.ParseSpan(lifetime)
			if err != nil || life < time.Second || life > 24*time.Hour {
				return usagef("--lifetime %q is no length of time from 1s to 24h", lifetime)
			}
			req.Lifetime = durationpb.New(life)
		}
		for _, name := range []string{"calls", "cpu-seconds", "output-bytes"} {
			if f := flags.Lookup(name); f.Changed && (f.Value.String() == "0" || f.Value.String() == "") {
				return usagef("--%s 0 would leave nothing to do; leave it out for no bound", name)
			}
		}
		if budget.GetCalls() != 0 || budget.GetCpuSeconds() != 0 || budget.GetOutputBytes() != 0 {
			req.Budget = budget
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		reply, err := c.identity.CreateToken(ctx, req)
		if err != nil {
			return hintTo("ListTools", "`sandgate tools list`", err)
		}
		_, _ = fmt.Fprintf(a.err, "It ends at %s. It is shown this once.\n", reply.GetPrincipal().GetExpiresAt().AsTime().Format(time.DateTime))
		_, err = fmt.Fprintln(a.out, strings.TrimSpace(printable(reply.GetToken())))
		return err
	})
	return cmd
}
