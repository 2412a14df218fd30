package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// CallState is where a call is. The numbers are those of the API.
type CallState int32

// The states of a call.
const (
	CallRunning CallState = 1
	CallEnded   CallState = 2
	CallLost    CallState = 3
)

// A Call is what is kept of one call of a tool.
type Call struct {
	// Tenant is whose it is, ID the gateway's name for it, CallID the caller's, empty for none.
	Tenant, ID, CallID string
	// SessionID is where it works, Tool what it calls.
	SessionID, Tool string
	// Hash is that of the request, to know it again. Empty without a CallID.
	Hash []byte
	// Request is what takes the call up again after the death of its gateway. Empty: nothing does, it
	// has ended, or it was not asked for.
	Request []byte
	// State is where it is.
	State CallState
	// Status is how its work ended, by the API's numbers. Zero: it runs, or ended in an error.
	Status int32
	// Error is the error that it ended in, as JSON. Empty: none.
	Error string
	// Result is what it produced, as the caller gets it. Empty: nothing was kept.
	Result []byte
	// CreatedAt is when it came, EndedAt when it ended: zero while it runs.
	CreatedAt, EndedAt time.Time
}

const callColumns = `tenant, id, call_id, session_id, tool, hash, state, status, error, result, created_at, ended_at`

// BeginCall keeps a call that is about to be run, so that it outlives the host. If its tenant has
// one with the same CallID, nothing is kept and that one is returned with began false.
func (d *DB) BeginCall(ctx context.Context, call Call) (kept Call, began bool, err error) {
	call.CallID, call.SessionID = plain(call.CallID), plain(call.SessionID)
	err = d.write(ctx, outlivesHost, func(tx *sql.Tx) error {
		whole := context.WithoutCancel(ctx)
		result, err := tx.ExecContext(whole, `INSERT INTO calls
			(tenant, id, call_id, owner, session_id, tool, hash, request, state, status, error, result, created_at, ended_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '', $10, $11, 0)
			ON CONFLICT (tenant, call_id) WHERE call_id <> '' DO NOTHING`,
			call.Tenant, call.ID, call.CallID, d.owner, call.SessionID, call.Tool, call.Hash, orEmpty(call.Request), int64(CallRunning), []byte{},
			millis(call.CreatedAt))
		if err != nil {
			return fmt.Errorf("keep a call: %w", err)
		}
		rows, err := result.RowsAffected()
		if kept, began = call, rows == 1; began || err != nil {
			return err
		}
		row := tx.QueryRowContext(whole, `SELECT `+callColumns+` FROM calls WHERE tenant = $1 AND call_id = $2`, call.Tenant, call.CallID)
		kept, err = scanCall(row.Scan)
		return err
	})
	return kept, began, err
}

// EndCall keeps how a call ended, so that it outlives the host. Its request is forgotten.
func (d *DB) EndCall(ctx context.Context, call Call) error {
	return d.write(ctx, outlivesHost, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(context.WithoutCancel(ctx), `UPDATE calls SET state = $1, status = $2, error = $3, result = $4, ended_at = $5, request = $6
			WHERE tenant = $7 AND id = $8`, int64(call.State), int64(call.Status), plain(call.Error), orEmpty(call.Result), millis(call.EndedAt), []byte{},
			call.Tenant, call.ID)
		if err != nil {
			return fmt.Errorf("keep how a call ended: %w", err)
		}
		return nil
	})
}

// RecordCalls keeps calls that have ended. Those that are kept already are left.
func (d *DB) RecordCalls(ctx context.Context, calls []Call) error {
	return d.write(ctx, outlivesProcess, func(tx *sql.Tx) error {
		for _, call := range calls {
			_, err := tx.ExecContext(context.WithoutCancel(ctx), `INSERT INTO calls
				(tenant, id, call_id, owner, session_id, tool, hash, state, status, error, result, created_at, ended_at)
				VALUES ($1, $2, '', $3, $4, $5, $6, $7, $8, $9, $6, $10, $11) ON CONFLICT DO NOTHING`,
				call.Tenant, call.ID, d.owner, plain(call.SessionID), call.Tool, []byte{}, int64(call.State), int64(call.Status), plain(call.Error),
				millis(call.CreatedAt), millis(call.EndedAt))
			if err != nil {
				return fmt.Errorf("note a call: %w", err)
			}
		}
		return nil
	})
}

// Call returns a call of a tenant's by either of its names. One that is not kept is ErrNotFound.
func (d *DB) Call(ctx context.Context, tenant, id string) (Call, error) {
	row := d.db.QueryRowContext(ctx, `SELECT `+callColumns+` FROM calls WHERE tenant = $1 AND (id = $2 OR call_id = $2)`, tenant, plain(id))
	call, err := scanCall(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Call{}, fmt.Errorf("call %q: %w", id, ErrNotFound)
	}
	return call, err
}

// A CallFilter says which calls are listed.
type CallFilter struct {
	// Tenant is whose.
	Tenant string
	// SessionID are those of one session. Empty: all.
	SessionID string
	// Running leaves out those that have ended.
	Running bool
	// Before and BeforeID are the place of the call before the first. Zero: from the newest.
	Before   time.Time
	BeforeID string
	// Limit is how many at most.
	Limit int
}

// Calls lists calls without their results, the newest first.
func (d *DB) Calls(ctx context.Context, f CallFilter) ([]Call, error) {
	before := int64(1) << 62
	if !f.Before.IsZero() {
		before = millis(f.Before)
	}
	running := 0
	if f.Running {
		running = 1
	}
	return query(ctx, d, question{
		what: "list calls", text: `SELECT tenant, id, call_id, session_id, tool, hash, state, status, error,
		hash, created_at, ended_at FROM calls
		WHERE tenant = $1 AND ($2 = '' OR session_id = $2) AND ($3 = 0 OR state = $4)
		AND (created_at < $5 OR created_at = $5 AND id < $6) ORDER BY created_at DESC, id DESC LIMIT $7`,
		args: []any{f.Tenant, plain(f.SessionID), running, int64(CallRunning), before, plain(f.BeforeID), f.Limit},
	},
		func(rows *sql.Rows) (Call, error) {
			call, err := scanCall(rows.Scan)
			call.Result = nil
			return call, err
		})
}

// RunningCalls returns the calls of this gateway that have not ended, with their requests, the oldest
// first. It is for a start.
func (d *DB) RunningCalls(ctx context.Context) ([]Call, error) {
	return query(ctx, d, question{
		what: "list the calls that run",
		text: `SELECT ` + callColumns + `, request FROM calls WHERE owner = $1 AND state = $2 ORDER BY created_at, id`,
		args: []any{d.owner, int64(CallRunning)},
	},
		func(rows *sql.Rows) (Call, error) {
			var request []byte
			call, err := scanCall(func(into ...any) error { return rows.Scan(append(into, &request)...) })
			call.Request = request
			return call, err
		})
}

// ForgetCalls removes calls that ended before a time.
func (d *DB) ForgetCalls(ctx context.Context, before time.Time) error {
	return d.exec(ctx, "forget old calls", `DELETE FROM calls WHERE created_at < $1 AND state <> $2`, millis(before), int64(CallRunning))
}

func scanCall(scan func(...any) error) (Call, error) {
	var call Call
	var created, ended int64
	err := scan(&call.Tenant, &call.ID, &call.CallID, &call.SessionID, &call.Tool, &call.Hash, &call.State, &call.Status, &call.Error,
		&call.Result, &created, &ended)
	call.CreatedAt, call.EndedAt = fromMillis(created), fromMillis(ended)
	return call, err
}

// orEmpty returns bytes that are not null to a database.
func orEmpty(raw []byte) []byte {
	if raw == nil {
		return []byte{}
	}
	return raw
}
