package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
)

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
