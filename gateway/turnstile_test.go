package gateway

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
)

// unsaid are the settings of an operator who has said nothing.
type unsaid struct{}

func (unsaid) Settings(string) []byte { return nil }
func (unsaid) Generation() int64      { return 0 }

// newBill returns who pays for a call with a token of one call, made of one of ten.
func newBill(t *testing.T) bill {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Source: filepath.Join(t.TempDir(), "db"), Owner: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ledger, err := quota.NewLedger(t.Context(), db, unsaid{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ledger.Close)
	ends := time.Now().Add(time.Hour)
	return bill{account: ledger.Account("acme"), tokens: []*quota.Account{
		ledger.Token("ten", quota.Budget{Calls: 10}, ends), ledger.Token("one", quota.Budget{Calls: 1}, ends),
	}}
}

// TestSpentTokensSpendNoOthers has calls of a token wait that can pay for one of them. Those that are
// refused when their turn has come cost the token that it was made of nothing.
func TestSpentTokensSpendNoOthers(t *testing.T) {
	b := newBill(t)
	refused := 0
	for range 5 { // all of them passed the check before they waited
		if b.spendCall() != nil {
			refused++
		}
	}
	ten, one := b.tokens[0].Used()[quota.Calls], b.tokens[1].Used()[quota.Calls]
	if all := b.account.Used()[quota.Calls]; refused != 4 || ten != 1 || one != 1 || all != 1 {
		t.Errorf("%d were refused; %d, %d and %d are used", refused, ten, one, all)
	}
}

// TestTidyingUpIsNotEnded: what ends a session goes on when there is nothing left, and code does not.
func TestTidyingUpIsNotEnded(t *testing.T) {
	b := newBill(t)
	gate := &turnstile{turns: quota.NewTurns(1, 1, 1, 1, alone)}
	for kind, bound := range map[quota.Kind]bool{quota.Control: false, quota.Run: true} {
		ticket, err := gate.enter(t.Context(), b, kind)
		if err != nil {
			t.Fatal(err)
		}
		if ctx := ticket.bind(t.Context()); (ctx != t.Context()) != bound {
			t.Errorf("kind %v: bound is %v", kind, !bound)
		}
		ticket.leave()
	}
}
