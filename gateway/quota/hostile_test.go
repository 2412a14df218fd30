package quota

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/sandgate/sandgate/gateway/store"
)

// TestLimitsThatOverflow: what is more than can be counted is no less than that.
func TestLimitsThatOverflow(t *testing.T) {
	const huge = math.MaxInt64 / 512 // times a thousand, and times 1,024,000, is zero or less than it
	a := tenant("a", Limits{CPUSeconds: huge, MemorySeconds: huge, Sessions: math.MaxInt64, StoredBytes: math.MaxInt64})
	a.Charge(CPU, 1<<40)
	if err := a.Check(); err != nil || !a.Bounded() {
		t.Errorf("%v, bounded: %v", err, a.Bounded())
	}
	a.Charge(MemoryTime, math.MaxInt64)
	if a.Check() == nil {
		t.Error("all that can be counted is used, and it goes on")
	}
	a.Hold(Stored, 10)
	if a.Reserve(Stored, math.MaxInt64-5) == nil {
		t.Error("more is stored than can be counted")
	}
	if got := a.Level(Stored); got != 10 {
		t.Errorf("%d are stored", got)
	}
	a.writeHeader()
}

// TestUnreadableLimits: what an operator wrote that makes no sense allows nothing, and none of it counts.
func TestUnreadableLimits(t *testing.T) {
	for _, text := range []string{`{"weight":1000000000000}`, `{"queue":-5}`, `{"calls":-1,"weight":7}`} {
		if l, err := ParseLimits([]byte(text)); err == nil || l != (Limits{}) {
			t.Errorf("%s: %+v, %v", text, l, err)
		}
	}
}

// TestRefund: what is given back can be spent again, whether it was written meanwhile or not.
func TestRefund(t *testing.T) {
	a := tenant("a", Limits{})
	a.token, a.calls = true, 2
	for range 5 {
		if err := a.Spend(Calls, 1); err != nil {
			t.Fatal(err)
		}
		a.written(a.take())
		a.Refund(Calls, 1)
		a.written(a.take())
	}
	if got := a.Used()[Calls]; got != 0 {
		t.Errorf("%d are used", got)
	}
}

// TestUseIsNeverLost looks at what is used while it is written: there is never less of it.
func TestUseIsNeverLost(t *testing.T) {
	a := tenant("a", Limits{})
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				a.written(a.take())
			}
		}
	})
	for charged := range int64(50_000) {
		if got := a.Used()[CPU]; got < charged {
			t.Fatalf("%d of %d", got, charged)
		}
		a.Charge(CPU, 1)
	}
	close(stop)
	writer.Wait()
}

// TestWindowThatIsOver: until the ledger has begun the next one, a refusal still says when to come back.
func TestWindowThatIsOver(t *testing.T) {
	a := tenant("a", Limits{CPUSeconds: 1})
	a.window.Store(time.Now().Add(-2 * Window).Unix())
	a.Charge(CPU, 5000)
	exceeded, _ := errors.AsType[*Exceeded](a.Check())
	if exceeded == nil || exceeded.Retry < minRetry {
		t.Errorf("%+v", exceeded)
	}
}

// uses is a store that other gateways write to.
type uses struct{ rows []store.Usage }

func (u *uses) AddUsage(context.Context, []store.Usage) error { return nil }
func (u *uses) UsageSince(context.Context, string, time.Time) ([]store.Usage, error) {
	return u.rows, nil
}
func (u *uses) ForgetUsage(context.Context, time.Time) error          { return nil }
func (u *uses) KeptResults(context.Context) (map[string]int64, error) { return nil, nil }

// nothing is said by this operator.
type nothing struct{}

func (nothing) Settings(string) []byte { return nil }
func (nothing) Generation() int64      { return 0 }

// TestTokensAreNotForgivenByTheHour: a token that was spent before a restart, and that nobody has shown
// since, is spent in the next hour as well; and so is one that was spent at another gateway.
func TestTokensAreNotForgivenByTheHour(t *testing.T) {
	ends := time.Now().Add(5 * time.Hour).Truncate(time.Second)
	row := func(id string) store.Usage {
		return store.Usage{Account: tokenPrefix + id, Window: ends, Amounts: Amounts{Calls: 3}}
	}
	kept := &uses{rows: []store.Usage{row("before")}}
	l, err := NewLedger(t.Context(), kept, nothing{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // it is moved on by hand
	next := windowOf(time.Now()).Add(Window)
	l.begin(next)
	if err := l.Token("before", Budget{Calls: 3}, ends).Spend(Calls, 1); err == nil {
		t.Error("the token of before is forgiven")
	}
	kept.rows = append(kept.rows, row("elsewhere"))
	l.learn(t.Context(), next)
	if err := l.Token("elsewhere", Budget{Calls: 3}, ends).Spend(Calls, 1); err == nil {
		t.Error("the token of another gateway is forgiven")
	}
	if l.Account("acme").Check() != nil || len(l.kept) != 0 {
		t.Errorf("kept: %v", l.kept)
	}
}

// TestFreeTokensAreNotKept: tokens come by the thousand, and a gateway without a ledger has no end of them.
func TestFreeTokensAreNotKept(t *testing.T) {
	f := NewFree()
	for range 10 {
		f.Token("tok", Budget{}, time.Now()).Charge(CPU, 1)
	}
	if len(f.accounts) != 0 {
		t.Errorf("%d are kept", len(f.accounts))
	}
}

// TestRefusalsNameTheirKind: a call that is refused at once says what kind of place it wanted.
func TestRefusalsNameTheirKind(t *testing.T) {
	turns := NewTurns(1, 1, 1, 1, no)
	a := tenant("a", Limits{Queue: 1})
	defer enter(t, turns, a, Files).Leave()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = turns.Enter(ctx, a, Files)
	}()
	for _, waiting := turns.Counts(Files); waiting == 0; _, waiting = turns.Counts(Files) {
		<-time.After(time.Millisecond)
	}
	_, err := turns.Enter(t.Context(), a, Files)
	if full, _ := errors.AsType[*Full](err); full == nil || full.Kind != Files {
		t.Errorf("%#v", err)
	}
	cancel()
	<-ended
}
