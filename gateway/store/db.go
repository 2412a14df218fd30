package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// ErrClosed is returned by writes after [DB.Close].
var ErrClosed = errors.New("the store is closed")

// A DB is a store in one database. Writes that arrive together are committed together, by one
// goroutine; once a write has returned without error it survives the death of this process, and, for
// keys and tenants, that of the host. Its methods may be called by any number of goroutines. Close it when nobody writes any more.
type DB struct {
	db       *sql.DB
	postgres bool
	owner    string
	writes   chan *write
	done     chan struct{} // closed when no more writes are taken
	close    sync.Once
	writer   sync.WaitGroup
}

// write is one change, to be applied inside a transaction.
type write struct {
	apply  func(tx *sql.Tx) error
	lasts  durability
	result chan error // holds one
}

// Options say which database is opened.
type Options struct {
	// Source is the path of an SQLite file, made if it is not there (its directory is not), or the
	// URL of a PostgreSQL database: `postgres://user:password@host/name`.
	Source string
	// Owner names the gateway, whose own sessions are the only ones it sees. Several gateways with
	// one database must differ in it.
	Owner string
}

// Open opens a store and brings its tables up to date. ctx bounds the opening alone.
func Open(ctx context.Context, opts Options) (*DB, error) {
	open := openSQLite
	if IsPostgres(opts.Source) {
		open = openPostgres
	}
	db, err := open(ctx, opts.Source)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	d := &DB{db: db, postgres: IsPostgres(opts.Source), owner: opts.Owner, writes: make(chan *write), done: make(chan struct{})}
	d.writer.Go(d.run)
	return d, nil
}

// IsPostgres tells whether a source is the URL of a PostgreSQL database.
func IsPostgres(source string) bool {
	return strings.HasPrefix(source, "postgres://") || strings.HasPrefix(source, "postgresql://")
}

// Close finishes the writes that were taken and leaves the database. Calls after the first do
// nothing.
func (d *DB) Close() error {
	var err error
	d.close.Do(func() {
		close(d.done)
		d.writer.Wait()
		err = d.db.Close()
	})
	return err
}

// Ready returns nil if the database answers.
func (d *DB) Ready(ctx context.Context) error {
	if err := d.db.PingContext(ctx); err != nil {
		return fmt.Errorf("the database: %w", err)
	}
	return nil
}

// exec makes one change of one statement. what says in an error what it was for.
func (d *DB) exec(ctx context.Context, what, statement string, args ...any) error {
	return d.write(ctx, outlivesProcess, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(context.WithoutCancel(ctx), statement, args...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// plain returns a text of somebody else's making as every database can hold it: PostgreSQL takes no
// NUL, and one such text would keep a whole batch from being written.
func plain(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

// question is what is asked of the database.
type question struct {
	what string // for errors
	text string
	args []any
}

// query reads every row that answers a question.
func query[T any](ctx context.Context, d *DB, q question, scan func(*sql.Rows) (T, error)) ([]T, error) {
	what := q.what
	rows, err := d.db.QueryContext(ctx, q.text, q.args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = rows.Close() }() // what matters is in rows.Err
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return all, nil
}
