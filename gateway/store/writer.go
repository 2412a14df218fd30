package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/sandgate/sandgate/gateway/failpoint"
)

// durability says what a change survives once its write has returned.
type durability int

const (
	// outlivesProcess: the death of this process. Enough for what dies with the host, as a sandbox
	// does.
	outlivesProcess durability = iota
	// outlivesHost: the death of the host, too.
	outlivesHost
)

// maxBatch bounds how many writes share a commit.
const maxBatch = 128

// write hands a change to the writer and waits until it is made. If ctx ends first, the change may
// be made all the same.
func (d *DB) write(ctx context.Context, lasts durability, apply func(tx *sql.Tx) error) error {
	w := &write{apply: apply, lasts: lasts, result: make(chan error, 1)}
	select {
	case d.writes <- w:
	case <-d.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w", ctx.Err())
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w", ctx.Err())
	}
}

// run takes writes until the store is closed. While one batch is flushed the next one gathers,
// which is what keeps a hundred sessions made at once from costing a hundred flushes.
func (d *DB) run() {
	batch := make([]*write, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case w := <-d.writes:
			batch = append(batch, w)
		case <-d.done:
			return
		}
		for more := true; more && len(batch) < maxBatch; {
			select {
			case w := <-d.writes:
				batch = append(batch, w)
			default:
				more = false
			}
		}
		d.commit(batch)
	}
}

// commit makes a batch of changes at once. If that fails, each is tried on its own, so that one bad
// change fails alone.
func (d *DB) commit(batch []*write) {
	if err := d.transact(batch); err == nil || len(batch) == 1 {
		for _, w := range batch {
			w.result <- err
		}
		return
	}
	for _, w := range batch {
		w.result <- d.transact([]*write{w})
	}
}

func (d *DB) transact(batch []*write) (err error) {
	if err := failpoint.Fail(failpoint.CommitBegin); err != nil {
		return err
	}
	// A caller that leaves does not undo the changes of others, so no caller's context is used.
	ctx := context.Background()
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := d.flushes(ctx, conn, batch); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, w := range batch {
		if err := w.apply(tx); err != nil {
			_ = tx.Rollback() // the error that matters is the one above
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	failpoint.Reach(failpoint.Committed)
	return nil
}

// flushes sets whether the next commit of an SQLite connection waits for the disk. PostgreSQL's
// commits all do.
func (d *DB) flushes(ctx context.Context, conn *sql.Conn, batch []*write) error {
	if d.postgres {
		return nil
	}
	mode := "PRAGMA synchronous = NORMAL"
	if slices.ContainsFunc(batch, func(w *write) bool { return w.lasts == outlivesHost }) {
		mode = "PRAGMA synchronous = FULL"
	}
	if _, err := conn.ExecContext(ctx, mode); err != nil {
		return fmt.Errorf("choose how to flush: %w", err)
	}
	return nil
}
