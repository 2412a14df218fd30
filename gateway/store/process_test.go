package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sandgate/sandgate/gateway/store"
)

// otherProcess names, to the test binary, a database to open and close and nothing else.
const otherProcess = "SANDGATE_TEST_OPEN_STORE"

// openAndClose reads the database as any tool for SQLite does.
func openAndClose(source string) error {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	var sessions int
	err = db.QueryRowContext(context.Background(), "SELECT count(*) FROM sessions").Scan(&sessions)
	return errors.Join(err, db.Close())
}

// What another process opens and closes, as a tool that looks or makes a copy does, stays whole under the gateway that has
// it open: had the other taken itself for the last one, it would have removed the log that the gateway goes
// on writing to, and everything after would be lost with the gateway.
func TestOtherProcessLeavesTheLog(t *testing.T) {
	source := filepath.Join(t.TempDir(), "state.db")
	db := open(t, source, "a")
	do(t, db.Put(t.Context(), store.Session{ID: "before", Spec: []byte("{}")}))
	self, err := os.Executable()
	do(t, err)
	other := exec.CommandContext(t.Context(), self)
	other.Env = append(os.Environ(), otherProcess+"="+source)
	if out, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	do(t, db.Put(t.Context(), store.Session{ID: "after", Spec: []byte("{}")}))
	if _, err := os.Stat(source + "-wal"); err != nil {
		t.Errorf("the log was taken away: %v", err)
	}
	seen, err := open(t, source, "a").Sessions(t.Context())
	if err != nil || len(seen) != 2 {
		t.Errorf("another finds %d sessions, want both: %v", len(seen), err)
	}
}
