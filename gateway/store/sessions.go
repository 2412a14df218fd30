package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Sessions returns every session of this gateway, in no order.
func (d *DB) Sessions(ctx context.Context) ([]Session, error) {
	return query(ctx, d, question{what: "read sessions", text: `SELECT id, tenant, sandbox_id, spec, metadata,
		created_at, idle_timeout, idle_expires_at, hard_expires_at, lost_reason
		FROM sessions WHERE owner = $1 OR owner = ''`, args: []any{d.owner}}, scanSession)
}

func scanSession(rows *sql.Rows) (Session, error) {
	var session Session
	var metadata []byte
	var created, idle, hard int64
	err := rows.Scan(&session.ID, &session.Tenant, &session.SandboxID, &session.Spec, &metadata,
		&created, &session.IdleTimeout, &idle, &hard, &session.LostReason)
	if err != nil {
		return Session{}, err
	}
	if err := json.Unmarshal(metadata, &session.Metadata); err != nil {
		return Session{}, fmt.Errorf("a session's metadata: %w", err)
	}
	session.CreatedAt = time.UnixMilli(created)
	session.IdleExpiresAt = time.UnixMilli(idle)
	session.HardExpiresAt = time.UnixMilli(hard)
	return session, nil
}

// Put keeps a session, in place of one with the same id.
func (d *DB) Put(ctx context.Context, session Session) error {
	metadata, err := json.Marshal(session.Metadata)
	if err != nil {
		return fmt.Errorf("keep a session: %w", err)
	}
	return d.exec(ctx, "keep a session", `INSERT INTO sessions (id, owner, tenant, sandbox_id, spec, metadata,
		created_at, idle_timeout, idle_expires_at, hard_expires_at, lost_reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, tenant = excluded.tenant,
		sandbox_id = excluded.sandbox_id, spec = excluded.spec, metadata = excluded.metadata,
		created_at = excluded.created_at, idle_timeout = excluded.idle_timeout,
		idle_expires_at = excluded.idle_expires_at, hard_expires_at = excluded.hard_expires_at,
		lost_reason = excluded.lost_reason`,
		session.ID, d.owner, session.Tenant, session.SandboxID, session.Spec, metadata, session.CreatedAt.UnixMilli(),
		int64(session.IdleTimeout), session.IdleExpiresAt.UnixMilli(), session.HardExpiresAt.UnixMilli(), plain(session.LostReason))
}

// Renew changes the leases of sessions; those it does not know it skips.
func (d *DB) Renew(ctx context.Context, leases []Lease) error {
	return d.write(ctx, outlivesProcess, func(tx *sql.Tx) error {
		for _, lease := range leases {
			_, err := tx.ExecContext(context.WithoutCancel(ctx),
				`UPDATE sessions SET idle_timeout = $1, idle_expires_at = $2 WHERE id = $3`,
				int64(lease.IdleTimeout), lease.IdleExpiresAt.UnixMilli(), lease.ID)
			if err != nil {
				return fmt.Errorf("renew a lease: %w", err)
			}
		}
		return nil
	})
}

// Lose keeps why a session is lost. One it does not know it skips, so that a session which is being
// deleted does not come back.
func (d *DB) Lose(ctx context.Context, id, reason string) error {
	return d.exec(ctx, "keep that a session is lost", `UPDATE sessions SET lost_reason = $1 WHERE id = $2`, plain(reason), id)
}

// Delete forgets a session. One it does not know is no error.
func (d *DB) Delete(ctx context.Context, id string) error {
	return d.exec(ctx, "forget a session", `DELETE FROM sessions WHERE id = $1`, id)
}
