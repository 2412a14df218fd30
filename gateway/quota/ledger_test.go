package quota_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
)

// settings are what an operator says.
type settings struct {
	text       atomic.Pointer[map[string]string]
	generation atomic.Int64
}

func (s *settings) Settings(tenant string) []byte {
	if text, ok := (*s.text.Load())[tenant]; ok {
		return []byte(text)
	}
	return nil
}

func (s *settings) Generation() int64 { return s.generation.Load() }

func (s *settings) set(text map[string]string) {
	s.text.Store(&text)
	s.generation.Add(1)
}

func openStore(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Source: path, Owner: "a"})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func openLedger(t *testing.T, db *store.DB, s *settings) *quota.Ledger {
	t.Helper()
	l, err := quota.NewLedger(t.Context(), db, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func TestLedgerOutlivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := &settings{}
	s.set(map[string]string{"acme": `{"cpu_seconds":10}`})
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	budget := quota.Budget{Calls: 3}
	for run := range 3 {
		db := openStore(t, path)
		l := openLedger(t, db, s)
		if got := l.Account("acme").Used()[quota.CPU]; got != int64(run)*4000 && time.Now().Minute() != 0 {
			t.Errorf("start %d: %d ms are used", run, got)
		}
		l.Account("acme").Charge(quota.CPU, 4000)
		if err := l.Token("tok_1", budget, ends).Spend(quota.Calls, 1); err != nil {
			t.Errorf("start %d: %v", run, err)
		}
		l.Close()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := openStore(t, path)
	defer func() { _ = db.Close() }()
	l := openLedger(t, db, s)
	defer l.Close()
	if _, ok := errors.AsType[*quota.Exceeded](l.Token("tok_1", budget, ends).Spend(quota.Calls, 1)); !ok {
		t.Error("a token has more calls after a restart")
	}
	if err := l.Account("acme").Check(); err == nil && time.Now().Minute() != 0 {
		t.Error("12 of 10 seconds are used, and it goes on")
	}
	hours, err := l.History(t.Context(), "acme", time.Now().Add(-24*time.Hour))
	if err != nil || len(hours) == 0 || len(hours) > 2 {
		t.Errorf("%v, %v", hours, err)
	}
}

// TestLedgersShareADatabase has two gateways charge one tenant.
func TestLedgersShareADatabase(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "db"))
	defer func() { _ = db.Close() }()
	s := &settings{}
	s.set(map[string]string{"*": `{"output_bytes":1000}`})
	one, two := openLedger(t, db, s), openLedger(t, db, s)
	defer one.Close()
	defer two.Close()
	one.Account("acme").Charge(quota.Output, 600)
	two.Account("acme").Charge(quota.Output, 600)
	eventually(t, "neither learns what the other charged", func() bool {
		two.Account("acme").Charge(quota.Calls, 1) // what is not used learns nothing
		return two.Account("acme").Check() != nil
	})
}

func TestLedgerFollowsTheOperator(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "db"))
	defer func() { _ = db.Close() }()
	s := &settings{}
	s.set(map[string]string{"*": `{"sessions":1}`, "own": `{"sessions":2}`})
	l := openLedger(t, db, s)
	defer l.Close()
	for name, want := range map[string]int64{"own": 2, "other": 1} {
		if got := l.Account(name).Limits().Sessions; got != want {
			t.Errorf("%s has %d", name, got)
		}
	}
	work := make(chan error, 1)
	watched := l.Account("own")
	watched.Charge(quota.CPU, 5000)
	s.set(map[string]string{"own": `{"cpu_seconds":1}`, "broken": `{"what":1}`})
	eventually(t, "a limit is not taken up", func() bool { return watched.Bounded() })
	defer watched.OnEmpty(func(cause error) { work <- cause }).Done()
	if err := <-work; err == nil {
		t.Error("work was ended without a reason")
	}
	if l.Account("other").Limits().Sessions != 0 {
		t.Error("a limit that was taken away holds on")
	}
	if err := l.Account("broken").Check(); err == nil {
		t.Error("limits that cannot be read allow everything")
	}
}

// failing is a store that does not write for a while.
type failing struct {
	quota.Store
	broken atomic.Bool
}

func (f *failing) AddUsage(ctx context.Context, used []store.Usage) error {
	if f.broken.Load() {
		return errors.New("disk full")
	}
	return f.Store.AddUsage(ctx, used)
}

func TestLedgerLosesNothingToABrokenStore(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "db"))
	defer func() { _ = db.Close() }()
	s := &settings{}
	s.set(map[string]string{"acme": `{"output_bytes":1000}`})
	broken := &failing{Store: db}
	broken.broken.Store(true)
	l, err := quota.NewLedger(t.Context(), broken, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.Account("acme").Charge(quota.Output, 1000)
	<-time.After(2500 * time.Millisecond) // it has tried to write
	if l.Account("acme").Check() == nil {
		t.Error("what could not be written is forgotten")
	}
	broken.broken.Store(false)
	l.Close()
	rows, err := db.UsageSince(t.Context(), "acme", time.Now().Add(-2*time.Hour))
	if err != nil || len(rows) != 1 || rows[0].Amounts[quota.Output] != 1000 {
		t.Errorf("%v, %v", rows, err)
	}
}
