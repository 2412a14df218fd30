package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
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

// limitFlags binds a flag to every limit.
func limitFlags(flags *pflag.FlagSet, l *quota.Limits) {
	for _, f := range []struct {
		name, doc string
		value     *int64
	}{
		{"weight", "share where calls wait for one another, 1 to 100 (0: 1)", &l.Weight},
		{"sessions", "running sessions", &l.Sessions},
		{"calls", "calls served at once", &l.Calls},
		{"queue", "calls that wait to be served (0: 64)", &l.Queue},
		{"cpu-seconds", "processor time in an hour", &l.CPUSeconds},
		{"memory-gib-seconds", "memory over time in an hour: 2 GiB for an hour are 7200", &l.MemorySeconds},
	} {
		flags.Int64Var(f.value, f.name, *f.value, f.doc)
	}
	for _, f := range []struct {
		name, doc string
		value     *int64
	}{
		{"memory-bytes", "memory limits of running sessions together, such as 8GiB", &l.MemoryBytes},
		{"stored-bytes", "workspaces of running sessions and kept results together", &l.StoredBytes},
		{"output-bytes", "bytes of replies in an hour", &l.OutputBytes},
		{"egress-bytes", "bytes between sandboxes and the world in an hour", &l.EgressBytes},
	} {
		flags.Var(&sizeFlag{f.value}, f.name, f.doc)
	}
}

// sizeFlag is a number of bytes, written with its unit or without.
type sizeFlag struct{ bytes *int64 }

func (f *sizeFlag) String() string {
	if f.bytes == nil || *f.bytes == 0 {
		return ""
	}
	return config.FormatSize(*f.bytes)
}

func (f *sizeFlag) Set(text string) (err error) {
	*f.bytes, err = config.ParseSize(text)
	return err
}

func (*sizeFlag) Type() string { return "size" }

func (a *app) tenantSet() *cobra.Command {
	var asked quota.Limits
	cmd := &cobra.Command{
		Use:   "set TENANT",
		Short: "Change the limits that are given, and leave the others",
		Args:  cobra.ExactArgs(1),
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

// tenantLimits returns what is set for a tenant: no limits where nothing is.
func tenantLimits(ctx context.Context, db *store.DB, name string) (quota.Limits, error) {
	all, err := db.Tenants(ctx)
	if err != nil {
		return quota.Limits{}, err
	}
	for _, tenant := range all {
		if tenant.Name == name {
			return quota.ParseLimits(tenant.Settings)
		}
	}
	return quota.Limits{}, nil
}

// limitText shows limits on a line.
func limitText(l quota.Limits) string {
	var flags pflag.FlagSet
	limitFlags(&flags, &l)
	var set []string
	flags.VisitAll(func(f *pflag.Flag) {
		if text := f.Value.String(); text != "" && text != "0" {
			set = append(set, f.Name+" "+text)
		}
	})
	if len(set) == 0 {
		return "no limits"
	}
	return strings.Join(set, ", ")
}

func (a *app) tenantDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete TENANT",
		Short: "Forget a tenant's own limits: it has those of * from then on",
		Args:  cobra.ExactArgs(1),
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

// listedTenant is a tenant as the list shows it.
type listedTenant struct {
	Name   string       `json:"name"`
	Keys   int          `json:"keys"`
	Own    bool         `json:"own_limits"`
	Limits quota.Limits `json:"limits"`
	// Used is what was used in this hour.
	Calls      int64   `json:"calls"`
	CPUSeconds float64 `json:"cpu_seconds"`
	Output     int64   `json:"output_bytes"`
}

func (a *app) tenantList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the tenants, their limits and what they used in this hour",
		Args:  noArguments,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	settings := addSettings(cmd.Flags())
	cmd.RunE = a.withKeys(settings, func(ctx context.Context, keys *keyParts, _ []string) error {
		all, err := listTenants(ctx, keys.db)
		if err != nil {
			return err
		}
		if asJSON {
			encoder := json.NewEncoder(a.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(all)
		}
		rows := [][]string{{"TENANT", "KEYS", "CALLS", "CPU", "OUTPUT", "LIMITS"}}
		for _, t := range all {
			limits := limitText(t.Limits)
			if !t.Own {
				limits = "those of *: " + limits
			}
			rows = append(rows, []string{
				t.Name, strconv.Itoa(t.Keys), strconv.FormatInt(t.Calls, 10), fmt.Sprintf("%.1fs", t.CPUSeconds), config.FormatSize(t.Output), limits,
			})
		}
		return table(a.out, rows)
	})
	return cmd
}

// listTenants gathers the tenants that have keys, limits, or used something in this hour.
func listTenants(ctx context.Context, db *store.DB) ([]listedTenant, error) {
	keys, err := db.Keys(ctx)
	if err != nil {
		return nil, err
	}
	everyone, err := tenantLimits(ctx, db, quota.Everyone)
	if err != nil {
		return nil, err
	}
	found := map[string]*listedTenant{}
	tenant := func(name string) *listedTenant {
		if found[name] == nil {
			found[name] = &listedTenant{Name: name, Limits: everyone}
		}
		return found[name]
	}
	now := time.Now()
	for _, key := range keys {
		if t := tenant(key.Tenant); key.RevokedAt.IsZero() || key.RevokedAt.After(now) {
			t.Keys++
		}
	}
	set, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range set {
		limits, err := quota.ParseLimits(one.Settings)
		if err != nil {
			return nil, fmt.Errorf("tenant %q: %w", one.Name, err)
		}
		tenant(one.Name).Own, tenant(one.Name).Limits = true, limits
	}
	used, err := db.UsageSince(ctx, "", now.UTC().Truncate(quota.Window))
	if err != nil {
		return nil, err
	}
	for _, u := range used {
		if !strings.Contains(u.Account, ":") { // a token's
			t := tenant(u.Account)
			t.Calls, t.CPUSeconds, t.Output = u.Amounts[quota.Calls], float64(u.Amounts[quota.CPU])/1000, u.Amounts[quota.Output]
		}
	}
	var all []listedTenant
	for _, t := range found {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(x, y listedTenant) int { return strings.Compare(x.Name, y.Name) })
	return all, nil
}
