package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/gateway/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func example(id string) store.Session {
	now := time.UnixMilli(1_700_000_000_123)
	return store.Session{
		ID: id, SandboxID: "box-" + id, Spec: []byte(`{"Template":"python"}`),
		Metadata:  map[string]string{"k": "v'; DROP TABLE sessions; --"},
		CreatedAt: now, IdleTimeout: 600 * time.Second,
		IdleExpiresAt: now.Add(600 * time.Second), HardExpiresAt: now.Add(24 * time.Hour),
	}
}

func TestSessionsSurviveReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a dir?", "..", "state#1.db")
	first, err := store.Open(t.Context(), filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	want := example("one")
	if err := first.Put(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := first.Put(t.Context(), example("two")); err != nil {
		t.Fatal(err)
	}
	if err := first.Delete(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	lease := store.Lease{ID: "one", IdleTimeout: time.Minute, IdleExpiresAt: want.CreatedAt.Add(time.Hour)}
	if err := first.Renew(t.Context(), []store.Lease{lease, {ID: "unknown"}}); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	want.IdleTimeout, want.IdleExpiresAt = lease.IdleTimeout, lease.IdleExpiresAt

	got, err := open(t, filepath.Clean(path)).Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.Session{want}, got); diff != "" {
		t.Errorf("sessions after reopening (-want +got):\n%s", diff)
	}
}

func TestPutReplaces(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "s.db"))
	session := example("one")
	for _, reason := range []string{"", "its sandbox died"} {
		session.LostReason = reason
		if err := db.Put(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
	got, err := db.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].LostReason != "its sandbox died" {
		t.Errorf("got %+v", got)
	}
}

func TestWritesAtOnce(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "s.db"))
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			if err := db.Put(context.WithoutCancel(t.Context()), example(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := db.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 300 {
		t.Errorf("%d of 300 sessions kept", len(got))
	}
}

func TestWriteAfterClose(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "s.db"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Put(t.Context(), example("one")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
}

func TestWriteOfACallerWhoLeft(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "s.db"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// The write may or may not be made; the store must work afterwards.
	_ = db.Put(ctx, example("left"))
	if err := db.Put(t.Context(), example("stayed")); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	if _, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "no", "such", "dir", "s.db")); err == nil {
		t.Error("opened a file in a directory that does not exist")
	}
	if _, err := store.Open(t.Context(), t.TempDir()); err == nil {
		t.Error("opened a directory")
	}
}

func TestOpenRefusesAFileOfANewerGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	open(t, path)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	if _, err := raw.ExecContext(t.Context(), "PRAGMA user_version = 1000"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "version 1000") {
		t.Errorf("got %v", err)
	}
}

func TestLose(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "s.db"))
	if err := db.Put(t.Context(), example("one")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"one", "deleted before"} {
		if err := db.Lose(t.Context(), id, "it died"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := db.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].LostReason != "it died" {
		t.Errorf("got %+v", got)
	}
}

func BenchmarkPut(b *testing.B) {
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "s.db"))
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
