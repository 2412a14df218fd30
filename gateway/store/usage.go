package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// A Usage is what one account used in one window of time.
type Usage struct {
	// Account names it: a tenant, or a token.
	Account string
	// Window is when the window began, to the second. For a token, when it ends.
	Window time.Time
	// Amounts are the calls, milliseconds of processor time, MiB for milliseconds of memory, bytes of
	// replies and bytes from and to the world.
	Amounts [5]int64
}

// AddUsage adds to what was used.
func (d *DB) AddUsage(ctx context.Context, used []Usage) error {
	return d.write(ctx, outlivesProcess, func(tx *sql.Tx) error {
		for _, u := range used {
			_, err := tx.ExecContext(context.WithoutCancel(ctx), `INSERT INTO usage
				(account, started_at, calls, cpu, memory_time, output, egress) VALUES ($1, $2, $3, $4, $5, $6, $7)
				ON CONFLICT (account, started_at) DO UPDATE SET calls = usage.calls + excluded.calls, cpu = usage.cpu + excluded.cpu,
				memory_time = usage.memory_time + excluded.memory_time, output = usage.output + excluded.output, egress = usage.egress + excluded.egress`,
				u.Account, u.Window.Unix(), u.Amounts[0], u.Amounts[1], u.Amounts[2], u.Amounts[3], u.Amounts[4])
			if err != nil {
				return fmt.Errorf("keep what was used: %w", err)
			}
		}
		return nil
	})
}

// UsageSince returns what was used in windows from a time on, oldest first, of one account or, where
// that is empty, of all.
func (d *DB) UsageSince(ctx context.Context, account string, since time.Time) ([]Usage, error) {
	return query(ctx, d, question{
		what: "read what was used", text: `SELECT account, started_at, calls, cpu, memory_time, output, egress
		FROM usage WHERE started_at >= $1 AND ($2 = '' OR account = $2) ORDER BY started_at, account`,
		args: []any{since.Unix(), plain(account)},
	}, func(rows *sql.Rows) (Usage, error) {
		var u Usage
		var began int64
		err := rows.Scan(&u.Account, &began, &u.Amounts[0], &u.Amounts[1], &u.Amounts[2], &u.Amounts[3], &u.Amounts[4])
		u.Window = time.Unix(began, 0)
		return u, err
	})
}

// ForgetUsage removes windows from before a time.
func (d *DB) ForgetUsage(ctx context.Context, before time.Time) error {
	return d.exec(ctx, "forget old use", `DELETE FROM usage WHERE started_at < $1`, before.Unix())
}

// KeptResults returns how many bytes of calls' results are kept, by tenant.
func (d *DB) KeptResults(ctx context.Context) (map[string]int64, error) {
	type kept struct {
		tenant string
		bytes  int64
	}
	rows, err := query(ctx, d, question{
		what: "read how much is kept", text: `SELECT tenant, CAST(SUM(LENGTH(result) + LENGTH(error)) AS BIGINT) FROM calls GROUP BY tenant`,
	}, func(rows *sql.Rows) (kept, error) {
		var k kept
		err := rows.Scan(&k.tenant, &k.bytes)
		return k, err
	})
	if err != nil {
		return nil, err
	}
	all := make(map[string]int64, len(rows))
	for _, k := range rows {
		all[k.tenant] = k.bytes
	}
	return all, nil
}
