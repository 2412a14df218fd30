package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sandgate/sandgate/gateway/failpoint"
)

// ErrNotFound is wrapped where a change names something that is not kept.
var ErrNotFound = errors.New("not found")

// ErrExists is wrapped where something is to be made whose name is taken.
var ErrExists = errors.New("exists already")

// IdentityGeneration returns a number that is another one after every change of a key or a tenant,
// whichever process made it.
func (d *DB) IdentityGeneration(ctx context.Context) (int64, error) {
	var generation int64
	err := d.db.QueryRowContext(ctx, `SELECT value FROM generations WHERE name = 'identity'`).Scan(&generation)
	if err != nil {
		return 0, fmt.Errorf("look whether keys have changed: %w", err)
	}
	return generation, nil
}

// changeIdentity makes a change that every gateway is to see.
func (d *DB) changeIdentity(ctx context.Context, apply func(ctx context.Context, tx *sql.Tx) error) error {
	if err := failpoint.Fail(failpoint.KeyChange); err != nil {
		return err
	}
	whole := context.WithoutCancel(ctx)
	err := d.write(ctx, outlivesHost, func(tx *sql.Tx) error {
		if err := apply(whole, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(whole, `UPDATE generations SET value = value + 1 WHERE name = 'identity'`); err != nil {
			return fmt.Errorf("note that keys have changed: %w", err)
		}
		return nil
	})
	failpoint.Reach(failpoint.KeyChanged)
	return err
}

// Keys returns every key that was ever made, revoked ones included, oldest first.
func (d *DB) Keys(ctx context.Context) ([]Key, error) {
	return query(ctx, d, question{what: "read keys", text: `SELECT id, tenant, name, hash, scopes, tools, addresses,
		created_at, expires_at, revoked_at, last_used_at FROM keys ORDER BY created_at, id`}, scanKey)
}

func scanKey(rows *sql.Rows) (Key, error) {
	var key Key
	var scopes, tools, addresses string
	var created, expires, revoked, used int64
	err := rows.Scan(&key.ID, &key.Tenant, &key.Name, &key.Hash, &scopes, &tools, &addresses, &created, &expires, &revoked, &used)
	if err != nil {
		return Key{}, err
	}
	err = errors.Join(json.Unmarshal([]byte(scopes), &key.Scopes), json.Unmarshal([]byte(tools), &key.Tools),
		json.Unmarshal([]byte(addresses), &key.Addresses))
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", key.ID, err)
	}
	key.CreatedAt, key.ExpiresAt, key.RevokedAt, key.LastUsedAt = fromMillis(created), fromMillis(expires), fromMillis(revoked), fromMillis(used)
	return key, nil
}

// PutKey keeps a new key. One with the same id is ErrExists.
func (d *DB) PutKey(ctx context.Context, key Key) error {
	var lists [3][]byte
	for i, list := range [][]string{key.Scopes, key.Tools, key.Addresses} {
		if list == nil {
			list = []string{}
		}
		text, err := json.Marshal(list)
		if err != nil {
			return fmt.Errorf("keep a key: %w", err)
		}
		lists[i] = text
	}
	return d.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO keys (id, tenant, name, hash, scopes, tools, addresses,
			created_at, expires_at, revoked_at, last_used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0)
			ON CONFLICT (id) DO NOTHING`,
			key.ID, key.Tenant, key.Name, key.Hash, string(lists[0]), string(lists[1]), string(lists[2]), millis(key.CreatedAt), millis(key.ExpiresAt))
		return changed(result, err, "keep a key", fmt.Errorf("key %s: %w", key.ID, ErrExists))
	})
}

// RevokeKey ends a key for good, at a time that may lie ahead. A key that is revoked at an earlier
// time stays so. One that is not kept is ErrNotFound.
func (d *DB) RevokeKey(ctx context.Context, id string, at time.Time) error {
	return d.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE keys SET revoked_at =
			CASE WHEN revoked_at <> 0 AND revoked_at < $1 THEN revoked_at ELSE $1 END WHERE id = $2`, millis(at), id)
		return changed(result, err, "revoke a key", fmt.Errorf("key %s: %w", id, ErrNotFound))
	})
}

// TouchKeys notes when keys were used last. Ids that are not kept are skipped.
func (d *DB) TouchKeys(ctx context.Context, used map[string]time.Time) error {
	return d.write(ctx, outlivesProcess, func(tx *sql.Tx) error {
		for id, at := range used {
			_, err := tx.ExecContext(context.WithoutCancel(ctx),
				`UPDATE keys SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1`, millis(at), id)
			if err != nil {
				return fmt.Errorf("note when a key was used: %w", err)
			}
		}
		return nil
	})
}

// Tenants returns what was said of tenants, by name.
func (d *DB) Tenants(ctx context.Context) ([]Tenant, error) {
	return query(ctx, d, question{what: "read tenants", text: `SELECT name, settings FROM tenants ORDER BY name`}, func(rows *sql.Rows) (Tenant, error) {
		var tenant Tenant
		var settings string
		err := rows.Scan(&tenant.Name, &settings)
		tenant.Settings = []byte(settings)
		return tenant, err
	})
}

// PutTenant keeps what is said of a tenant, in place of what was said before.
func (d *DB) PutTenant(ctx context.Context, tenant Tenant) error {
	return d.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tenants (name, settings) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET settings = excluded.settings`, tenant.Name, string(tenant.Settings))
		if err != nil {
			return fmt.Errorf("keep a tenant: %w", err)
		}
		return nil
	})
}

// DeleteTenant forgets what was said of a tenant, which has the defaults again. One of which nothing
// was said is ErrNotFound.
func (d *DB) DeleteTenant(ctx context.Context, name string) error {
	return d.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM tenants WHERE name = $1`, name)
		return changed(result, err, "forget a tenant", fmt.Errorf("tenant %q: %w", name, ErrNotFound))
	})
}

// changed returns none where a statement changed no row.
func changed(result sql.Result, err error, what string, none error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	switch rows, err := result.RowsAffected(); {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case rows == 0:
		return none
	default:
		return nil
	}
}

// millis and fromMillis write a time and read it back, with zero for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n)
}
