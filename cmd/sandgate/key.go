package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/store"
)

// keyCommand is `sandgate key`.
func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Make, list and revoke the keys of a gateway",
		GroupID: groupRun,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Long: `Keys let callers in. While there is none, a gateway answers everybody who reaches its
loopback port; from the first key on it answers holders of keys only, and may listen on
other addresses. Each key belongs to a tenant, which sees its own sessions and no others.

These commands work on the gateway's database, so they are for its operator: run them on
its host, as its user, with the same settings. A running gateway sees a change within a
second.

` + configLong,
		Example: `  export SANDGATE_KEY=$(sandgate key create --tenant acme --name "agent 7")
  sandgate key create --tenant acme --scopes tools,python,sessions --expires 720h
  sandgate key rotate jf6zq2lm5wd3t7ra --grace 24h
  sandgate key revoke jf6zq2lm5wd3t7ra`,
	}
	cmd.AddCommand(a.keyCreate(), a.keyList(), a.keyRevoke(), a.keyRotate())
	return cmd
}

// withKeys makes a command's body of an action on the store that the settings name.
func (a *app) withKeys(settings *settingFlags, do func(ctx context.Context, keys *keyParts, args []string) error) func(*cobra.Command, []string) error {
	return interruptible(func(ctx context.Context, args []string) error {
		loaded, err := settings.load(a)
		if err != nil {
			return err
		}
		keys, err := openKeys(ctx, &loaded.Config, "")
		if err != nil {
			return err
		}
		if keys.fresh {
			a.notef("the state folder %s is new: a gateway that runs has another one; name its folder by %s", loaded.Config.StateDir, stateDirNames)
		}
		return errors.Join(do(ctx, keys, args), keys.Close())
	})
}

func (a *app) keyCreate() *cobra.Command {
	grant := identity.Grant{}
	var expires string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key, and print it once",
		Args:  noArguments,
		Long: `Prints the key alone on stdout. It is kept nowhere: whoever loses it needs another one.
The scopes and tools that there are stand in the error for one that there is not. The scope
operator, for "sandgate top", is held only by keys that name it: it shows all tenants.`,
		Example: `  sandgate key create --tenant acme
  sandgate key create --tenant acme --tools python_run,file_read --from 10.0.0.0/8`,
	}
	flags := cmd.Flags()
	flags.StringVar(&grant.Tenant, "tenant", identity.DefaultTenant, "whose key it is: a to z, digits and dashes")
	flags.StringVar(&grant.Name, "name", "", "a note for the list")
	flags.StringSliceVar(&grant.Scopes, "scopes", nil, "what it may be used for, comma-separated (default everything that a tenant may do)")
	flags.StringSliceVar(&grant.Tools, "tools", nil, "the tools it may call, comma-separated (default all)")
	flags.StringSliceVar(&grant.Addresses, "from", nil, "networks it may be used from, such as 10.0.0.0/8 (default anywhere)")
	flags.StringVar(&expires, "expires", "", "how long it lasts, such as 720h (default for ever)")
	settings := addSettings(flags)
	cmd.RunE = a.withKeys(settings, func(ctx context.Context, keys *keyParts, _ []string) error {
		now := time.Now()
		if expires != "" {
			life, err := config.ParseSpan(expires)
			if err != nil || life <= 0 {
				return usagef("--expires %q is no length of time such as 720h", expires)
			}
			grant.ExpiresAt = now.Add(life)
		}
		known, err := keys.cfg.Known()
		if err != nil {
			return err
		}
		key, text, err := identity.NewKey(keys.pepper, grant, known, now)
		if err != nil {
			return usagef("%w", err)
		}
		err = keys.audit.before(ctx, audit.Event{Kind: audit.KeyCreate, Tenant: key.Tenant, Key: key.ID}, func() error {
			return keys.db.PutKey(ctx, key)
		})
		if err != nil {
			return err
		}
		return a.printKey(keys, key, text)
	})
	return cmd
}

// printKey prints a new key: its text for whoever reads stdout, what it is for and where on stderr.
func (a *app) printKey(keys *keyParts, key store.Key, text string) error {
	_, _ = fmt.Fprintf(a.err, "Key %s of tenant %s, in %s. It is shown this once.\n", key.ID, key.Tenant, keys.where())
	_, err := fmt.Fprintln(a.out, text)
	return err
}

func (a *app) keyList() *cobra.Command {
	var asJSON bool
	var tenant string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the keys, without their secrets",
		Args:  noArguments,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	cmd.Flags().StringVar(&tenant, "tenant", "", "those of one tenant")
	settings := addSettings(cmd.Flags())
	cmd.RunE = a.withKeys(settings, func(ctx context.Context, keys *keyParts, _ []string) error {
		all, err := keys.db.Keys(ctx)
		if err != nil {
			return err
		}
		shown := []listedKey{}
		for _, key := range all {
			if tenant == "" || key.Tenant == tenant {
				shown = append(shown, listKey(key, time.Now()))
			}
		}
		if asJSON {
			encoder := json.NewEncoder(a.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(shown)
		}
		rows := [][]string{{"ID", "TENANT", "STATE", "SCOPES", "TOOLS", "FROM", "CREATED", "LAST USED", "NAME"}}
		for _, key := range shown {
			rows = append(rows, []string{
				key.ID, key.Tenant, key.State, orAll(key.Scopes), orAll(key.Tools), orAll(key.Addresses), day(key.CreatedAt), day(key.LastUsedAt), key.Name,
			})
		}
		return table(a.out, rows)
	})
	return cmd
}

// listedKey is a key as the list shows it.
type listedKey struct {
	ID         string     `json:"id"`
	Tenant     string     `json:"tenant"`
	Name       string     `json:"name"`
	State      string     `json:"state"`
	Scopes     []string   `json:"scopes"`
	Tools      []string   `json:"tools"`
	Addresses  []string   `json:"addresses"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func listKey(key store.Key, now time.Time) listedKey {
	state := "live"
	switch {
	case !key.RevokedAt.IsZero() && !key.RevokedAt.After(now):
		state = "revoked"
	case !key.ExpiresAt.IsZero() && !key.ExpiresAt.After(now):
		state = "expired"
	case !key.RevokedAt.IsZero():
		state = "ends " + key.RevokedAt.UTC().Format(time.DateTime)
	case !key.ExpiresAt.IsZero():
		state = "until " + key.ExpiresAt.UTC().Format(time.DateTime)
	}
	return listedKey{
		ID: key.ID, Tenant: key.Tenant, Name: key.Name, State: state, Scopes: key.Scopes, Tools: key.Tools, Addresses: key.Addresses,
		CreatedAt: some(key.CreatedAt), ExpiresAt: some(key.ExpiresAt), RevokedAt: some(key.RevokedAt), LastUsedAt: some(key.LastUsedAt),
	}
}

// some returns a time in UTC, nil for none.
func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func day(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Format(time.DateTime)
}

func orAll(list []string) string {
	if len(list) == 0 {
		return "all"
	}
	return strings.Join(list, ",")
}
