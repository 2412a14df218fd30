package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/gateway/store"
	"github.com/sandgate/sandgate/gateway/store/storetest"
)

// server is started by TestMain.
var server *storetest.Postgres //nolint:gochecknoglobals // one for the package

func TestMain(m *testing.M) {
	if source := os.Getenv(otherProcess); source != "" {
		if err := seesLock(source); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var err error
	if server, err = storetest.StartPostgres(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := errors.Join(server.Stop(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// sources make an empty database of each kind.
var sources = map[string]func(t *testing.T) string{ //nolint:gochecknoglobals // a constant
	"sqlite": func(t *testing.T) string {
		t.Helper()
		return filepath.Clean(filepath.Join(t.TempDir(), "a dir?", "..", "state#1.db"))
	},
	"postgres": func(t *testing.T) string {
		t.Helper()
		source, err := server.Database(t.Context())
		do(t, err)
		return source
	},
}

func open(t *testing.T, source, owner string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Source: source, Owner: owner})
	do(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// do fails the test at the first error.
func do(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func sessions(t *testing.T, db *store.DB) []store.Session {
	t.Helper()
	got, err := db.Sessions(t.Context())
	do(t, err)
	return got
}

func generation(t *testing.T, db *store.DB) int64 {
	t.Helper()
	n, err := db.IdentityGeneration(t.Context())
	do(t, err)
	return n
}

func example(id string) store.Session {
	now := time.UnixMilli(1_700_000_000_123)
	return store.Session{
		ID: id, Tenant: "acme", SandboxID: "box-" + id, Spec: []byte(`{"Template":"python"}`),
		Metadata:  map[string]string{"k": "v'; DROP TABLE sessions; --"},
		CreatedAt: now, IdleTimeout: 600 * time.Second,
		IdleExpiresAt: now.Add(600 * time.Second), HardExpiresAt: now.Add(24 * time.Hour),
	}
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	for what, source := range map[string]string{
		"a file in a directory that does not exist": filepath.Join(t.TempDir(), "no", "such", "dir", "s.db"),
		"a directory":                   t.TempDir(),
		"a server that does not answer": "postgres://u:secret-word@" + url(t.TempDir()) + "/none",
		"a URL that is none":            "postgres://u:secret-word@[::1/none",
	} {
		db, err := store.Open(t.Context(), store.Options{Source: source})
		if err == nil {
			t.Errorf("opened %s", what)
			_ = db.Close()
		} else if strings.Contains(err.Error(), "secret-word") {
			t.Errorf("the error for %s shows the password: %v", what, err)
		}
	}
}

// url returns a folder as the host of a URL.
func url(folder string) string { return strings.ReplaceAll(folder, "/", "%2F") }

func TestOpenRefusesAFileOfANewerGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	open(t, path, "a")
	raw(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, 1)")
	if _, err := store.Open(t.Context(), store.Options{Source: path}); err == nil || !strings.Contains(err.Error(), "version 1000") {
		t.Errorf("got %v", err)
	}
}

// TestFileOfAnOlderGateway opens a file that was written before tenants existed.
func TestFileOfAnOlderGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	raw(t, path, `CREATE TABLE sessions (id TEXT PRIMARY KEY, sandbox_id TEXT NOT NULL, spec BLOB NOT NULL, metadata BLOB NOT NULL,
		created_at INTEGER NOT NULL, idle_timeout INTEGER NOT NULL, idle_expires_at INTEGER NOT NULL, hard_expires_at INTEGER NOT NULL,
		lost_reason TEXT NOT NULL) STRICT, WITHOUT ROWID;
		INSERT INTO sessions VALUES ('ses_old', 'box', x'7b7d', x'7b2261223a2262227d', 1, 2, 3, 4, '');
		PRAGMA user_version = 1`)
	got := sessions(t, open(t, path, "a"))
	if len(got) != 1 || got[0].ID != "ses_old" || got[0].Tenant != "default" || got[0].Metadata["a"] != "b" {
		t.Errorf("got %+v", got)
	}
}

func raw(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	do(t, err)
	_, err = db.ExecContext(t.Context(), statement)
	do(t, err, db.Close())
}

func BenchmarkPut(b *testing.B) {
	db, err := store.Open(b.Context(), store.Options{Source: filepath.Join(b.TempDir(), "s.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for i := 0; b.Loop(); i++ {
		if err := db.Put(b.Context(), example(fmt.Sprint(i))); err != nil {
			b.Fatal(err)
		}
	}
}
