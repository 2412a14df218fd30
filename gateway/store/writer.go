package store

import (
	"context"
	"database/sql"
	"fmt"
)

// maxBatch bounds how many writes share a commit.
const maxBatch = 128

// write hands a change to the writer and waits until it is on the disk. If ctx ends first, the
// change may be made all the same.
func (d *DB) write(ctx context.Context, apply func(tx *sql.Tx) error) error {
	w := &write{apply: apply, result: make(chan error, 1)}
	select {
	case d.writes <- w:
	case <-d.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the session store: %w", ctx.Err())
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the session store: %w", ctx.Err())
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

func (d *DB) transact(batch []*write) error {
	// A caller that leaves does not undo the changes of others, so no caller's context is used.
	tx, err := d.db.BeginTx(context.Background(), nil)
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
	return nil
}
