package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // the driver registers itself
)

// connections of a database: one writes, the others read.
const connections = 4

// connectionIdle is how long a connection to a server is kept that nobody uses.
const connectionIdle = 5 * time.Minute

// openSQLite opens a file. It may be open in other processes, such as one that makes a key.
func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	// A file of its own: closing a descriptor of the database would take away the locks that SQLite holds on
	// it in this process, and with them what tells another process that the write-ahead log is in use.
	lock, err := os.OpenFile(path+"-lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }() // lets others in
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s while its tables are brought up to date: %w", path, err)
	}
	db, err := sql.Open("sqlite", sqliteSource(path))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	if err := migrate(ctx, goose.DialectSQLite3, db); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return db, nil
}

// makePrivate makes the file where there is none, for its owner alone: session ids let one into a session. SQLite
// gives its other files the same mode. A file that is there is not opened, see above.
func makePrivate(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case err == nil:
		return file.Close()
	case errors.Is(err, fs.ErrExist):
		return os.Chmod(path, 0o600)
	}
	return err
}

// sqliteSource names the file with its settings. A commit is in the write-ahead log, and so survives
// this process, when it returns; whether it is flushed to the disk is said each time. A transaction takes the lock for writing when it begins, as one that took it later could not wait
// for another process.
func sqliteSource(path string) string {
	settings := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(ON)"},
		"_txlock": {"immediate"},
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: settings.Encode()}).String()
}

// openPostgres connects to a server. Errors do not show the password.
func openPostgres(ctx context.Context, source string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return nil, errors.New("the URL of the PostgreSQL database is not one: it looks like postgres://user:password@host:5432/name")
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetConnMaxIdleTime(connectionIdle)
	locker, err := lock.NewPostgresSessionLocker() // several gateways may start at once
	if err == nil {
		err = migrate(ctx, goose.DialectPostgres, db, goose.WithSessionLocker(locker))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("PostgreSQL at %s, database %s: %w", config.Host, config.Database, err), db.Close())
	}
	return db, nil
}
