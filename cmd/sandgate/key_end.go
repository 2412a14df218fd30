package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/store"
)

// defaultGrace is how long a rotated key still lets its holder in.
const defaultGrace = 24 * time.Hour

func (a *app) keyRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID…",
		Short: "End keys for good, within a second",
		Args:  namedArguments,
		Long: `Ends keys and every token that goes back to them. It cannot be undone. Sessions that were
made with a key stay with its tenant. A gateway whose last key is revoked lets nobody in.`,
	}
	settings := addSettings(cmd.Flags())
	cmd.RunE = a.withKeys(settings, func(ctx context.Context, keys *keyParts, ids []string) error {
		var errs []error
		for _, id := range ids {
			errs = append(errs, a.revoke(ctx, keys, id))
		}
		return errors.Join(errs...)
	})
	return cmd
}

// revoke ends one key. What is no key's id is written down nowhere: it may be a key itself.
func (a *app) revoke(ctx context.Context, keys *keyParts, id string) error {
	key, err := findKey(ctx, keys.db, id)
	if err != nil {
		return err
	}
	return keys.audit.regardless(ctx, audit.Event{Kind: audit.KeyRevoke, Tenant: key.Tenant, Key: key.ID}, func() error {
		if err := keys.db.RevokeKey(ctx, key.ID, time.Now()); err != nil {
			return unknownKey(id, err)
		}
		_, _ = fmt.Fprintf(a.err, "Key %s is revoked.\n", key.ID)
		return nil
	})
}

func (a *app) keyRotate() *cobra.Command {
	var grace string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Make a key in place of another, which ends after a while",
		Args:  namedArguments,
		Long: `Prints a new key that may do what the old one may. The old one is revoked at the end of
--grace, so that its holder has the time to change over.`,
		Example: `  sandgate key rotate jf6zq2lm5wd3t7ra
  sandgate key rotate jf6zq2lm5wd3t7ra --grace 0`,
	}
	cmd.Flags().StringVar(&grace, "grace", defaultGrace.String(), "how long the old key still lets in")
	settings := addSettings(cmd.Flags())
	cmd.RunE = a.withKeys(settings, func(ctx context.Context, keys *keyParts, args []string) error {
		span, err := config.ParseSpan(grace)
		if err != nil || span < 0 {
			return usagef("--grace %q is no length of time such as 24h", grace)
		}
		old, err := findKey(ctx, keys.db, args[0])
		if err != nil {
			return err
		}
		now := time.Now()
		if listed := listKey(old, now); listed.State == "revoked" || listed.State == "expired" {
			return hintError{err: fmt.Errorf("key %s is %s", old.ID, listed.State), hint: "make a new one with `sandgate key create`"}
		}
		key, text := identity.Rotate(keys.pepper, old, now)
		event := audit.Event{Kind: audit.KeyRotate, Tenant: key.Tenant, Key: key.ID, Detail: "in place of " + old.ID}
		if err := keys.audit.before(ctx, event, func() error { return keys.db.PutKey(ctx, key) }); err != nil {
			return err
		}
		// The new key is shown even where the old one cannot be ended: it is there.
		ended := keys.db.RevokeKey(ctx, old.ID, now.Add(span))
		if ended == nil {
			_, _ = fmt.Fprintf(a.err, "Key %s ends at %s.\n", old.ID, now.Add(span).UTC().Format(time.DateTime))
		}
		return errors.Join(a.printKey(keys, key, text), ended)
	})
	return cmd
}

// findKey returns the key of an id.
func findKey(ctx context.Context, db *store.DB, id string) (store.Key, error) {
	all, err := db.Keys(ctx)
	if err != nil {
		return store.Key{}, err
	}
	for _, key := range all {
		if key.ID == id {
			return key, nil
		}
	}
	return store.Key{}, unknownKey(id, store.ErrNotFound)
}

// unknownKey says what to do about an id that is none.
func unknownKey(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return hintError{err: fmt.Errorf("there is no key %q", id), hint: "`sandgate key list` shows their ids; a key itself is not its id"}
	}
	return err
}
