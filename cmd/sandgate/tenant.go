package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
)

// tenantCommand is `sandgate tenant`.
func (a *app) tenantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tenant",
		Short:   "Set and show what tenants may use",
		GroupID: groupRun,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Long: `A tenant is whoever a key belongs to (sandgate key create --tenant). Its limits bound what
it has at once (sessions, calls, memory, stored bytes) and what it uses in an hour
(processor time, memory over time, bytes of replies). The tenant * stands for all that
have no limits of their own. Callers see theirs with sandgate usage.

These commands work on the gateway's database, so they are for its operator: run them on
its host, as its user, with the same settings. A running gateway sees a change within a
second.

` + configLong,
		Example: `  sandgate tenant set acme --sessions 20 --cpu-seconds 36000 --weight 4
  sandgate tenant set '*' --sessions 5 --calls 16
  sandgate tenant list`,
	}
	cmd.AddCommand(a.tenantSet(), a.tenantList(), a.tenantDelete())
	return cmd
}

func (a *app) tenantSet() *cobra.Command {
	var asked quota.Limits
	cmd := &cobra.Command{
		Use:   "set TENANT",
		Short: "Change the limits that are given, and leave the others",
		Args:  namedArguments,
		Long: `Changes the limits that are named; 0 takes one away. Sessions that run already go on. The
tenant * stands for all that have no limits of their own.`,
	}
	limitFlags(cmd.Flags(), &asked)
	settings := addSettings(cmd.Flags())
	cmd.RunE = a.withKeys(settings, func(ctx context.Context, keys *keyParts, args []string) error {
		if err := identity.CheckTenant(args[0]); err != nil && args[0] != quota.Everyone {
			return usagef("%w", err)
		}
		limits, err := tenantLimits(ctx, keys.db, args[0])
		if err != nil {
			return err
		}
		var merged pflag.FlagSet
		limitFlags(&merged, &limits)
		changes := 0
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if known := merged.Lookup(f.Name); known != nil {
				err = errors.Join(err, known.Value.Set(cmp.Or(f.Value.String(), "0"))) // a size of nothing has no text
				changes++
			}
		})
		switch {
		case err != nil:
			return err
		case changes == 0:
			return usagef("name a limit to set: sandgate tenant set --help lists them")
		}
		if err := limits.Check(); err != nil {
			return usagef("%w", err)
		}
		text, err := json.Marshal(limits)
		if err != nil {
			return err
		}
		if err := keys.db.PutTenant(ctx, store.Tenant{Name: args[0], Settings: text}); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "%s: %s\n", args[0], limitText(limits))
		return err
	})
	return cmd
}

func (a *app) tenantDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete TENANT",
		Short: "Forget a tenant's own limits: it has those of * from then on",
		Args:  namedArguments,
	}
	settings := addSettings(cmd.Flags())
	cmd.RunE = a.withKeys(settings, func(ctx context.Context, keys *keyParts, args []string) error {
		err := keys.db.DeleteTenant(ctx, args[0])
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("tenant %q has no limits of its own", args[0])
		}
		return err
	})
	return cmd
}
