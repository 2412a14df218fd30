package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver registers itself
)

// ErrClosed is returned by writes after [DB.Close].
var ErrClosed = errors.New("the session store is closed")

// A DB is a store in one SQLite file. Writes that arrive together are committed together, by one
// goroutine; a write has returned without error only once it is on the disk. Its methods may be
// called by any number of goroutines. Close it when nobody writes any more.
type DB struct {
	db     *sql.DB
	writes chan *write
	done   chan struct{} // closed when no more writes are taken
	close  sync.Once
	writer sync.WaitGroup
}

// write is one change, to be applied inside a transaction.
type write struct {
	apply  func(tx *sql.Tx) error
	result chan error // holds one
}

// Open opens the store in the file at path and brings its tables up to date. The file is made if it
// is not there, its directory is not. ctx bounds the opening alone.
func Open(ctx context.Context, path string) (*DB, error) {
	// The ids in it are what lets one into a session. SQLite gives its other files the same mode.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the session store: %w", err)
	}
	if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
		return nil, fmt.Errorf("open the session store: %w", err)
	}
	db, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, fmt.Errorf("open the session store: %w", err)
	}
	// One connection: SQLite has one writer, and reads happen only at the start.
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("open the session store %s: %w", path, err), db.Close())
	}
	d := &DB{db: db, writes: make(chan *write), done: make(chan struct{})}
	d.writer.Go(d.run)
	return d, nil
}

// dataSource names the file with its settings. A commit is in the write-ahead log, and so survives
// the death of this process, when it returns; it is not flushed to the disk each time, since no
// session outlives the machine that holds its sandbox.
func dataSource(path string) string {
	pragmas := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(ON)",
	}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: pragmas.Encode()}).String()
}

// Close finishes the writes that were taken and closes the file. Calls after the first do nothing.
func (d *DB) Close() error {
	var err error
	d.close.Do(func() {
		close(d.done)
		d.writer.Wait()
		err = d.db.Close()
	})
	return err
}

// Sessions returns every session kept, in no order.
func (d *DB) Sessions(ctx context.Context) ([]Session, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT id, sandbox_id, spec, metadata, created_at,
		idle_timeout, idle_expires_at, hard_expires_at, lost_reason FROM sessions`)
	if err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var sessions []Session
	for rows.Next() {
		session, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read a session: %w", err)
		}
		sessions = append(sessions, session)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	return sessions, nil
}

func scan(rows *sql.Rows) (Session, error) {
	var session Session
	var metadata []byte
	var created, idle, hard int64
	err := rows.Scan(&session.ID, &session.SandboxID, &session.Spec, &metadata, &created,
		&session.IdleTimeout, &idle, &hard, &session.LostReason)
	if err != nil {
		return Session{}, err
	}
	if err := json.Unmarshal(metadata, &session.Metadata); err != nil {
		return Session{}, fmt.Errorf("its metadata: %w", err)
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
	return d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(context.WithoutCancel(ctx), `INSERT OR REPLACE INTO sessions
			(id, sandbox_id, spec, metadata, created_at, idle_timeout, idle_expires_at, hard_expires_at, lost_reason)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			session.ID, session.SandboxID, session.Spec, metadata, session.CreatedAt.UnixMilli(),
			int64(session.IdleTimeout), session.IdleExpiresAt.UnixMilli(), session.HardExpiresAt.UnixMilli(), session.LostReason)
		if err != nil {
			return fmt.Errorf("keep a session: %w", err)
		}
		return nil
	})
}

// Renew changes the leases of sessions; those it does not know it skips.
func (d *DB) Renew(ctx context.Context, leases []Lease) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		for _, lease := range leases {
			_, err := tx.ExecContext(context.WithoutCancel(ctx),
				`UPDATE sessions SET idle_timeout = ?, idle_expires_at = ? WHERE id = ?`,
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
	return d.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(context.WithoutCancel(ctx), `UPDATE sessions SET lost_reason = ? WHERE id = ?`, reason, id); err != nil {
			return fmt.Errorf("keep that a session is lost: %w", err)
		}
		return nil
	})
}

// Delete forgets a session. One it does not know is no error.
func (d *DB) Delete(ctx context.Context, id string) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(context.WithoutCancel(ctx), `DELETE FROM sessions WHERE id = ?`, id); err != nil {
			return fmt.Errorf("forget a session: %w", err)
		}
		return nil
	})
}
