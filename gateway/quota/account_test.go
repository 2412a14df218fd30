package quota

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestReserve(t *testing.T) {
	a := tenant("a", Limits{Sessions: 10, StoredBytes: 100})
	var got atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if a.Reserve(Sessions, 1) == nil {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 10 || a.Level(Sessions) != 10 {
		t.Errorf("%d of 100 had one of 10, %d are taken", got.Load(), a.Level(Sessions))
	}
	exceeded, _ := errors.AsType[*Exceeded](a.Reserve(Sessions, 1))
	if exceeded == nil || exceeded.What != "sessions" || exceeded.Limit != 10 || exceeded.Used != 10 {
		t.Errorf("%+v", exceeded)
	}
	a.Release(Sessions, 1)
	if err := a.Reserve(Sessions, 1); err != nil {
		t.Error(err)
	}
	a.Keep(60) // results that are kept are a part of what is stored
	if a.Reserve(Stored, 50) == nil || a.Reserve(Stored, 40) != nil || a.Room(Stored) == nil {
		t.Errorf("%d are stored", a.Level(Stored))
	}
	a.Hold(Memory, 1<<40)
	if err := a.Reserve(Memory, 1); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

func TestSpend(t *testing.T) {
	a := tenant("a", Limits{})
	a.token, a.calls = true, 10
	var got atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if a.Spend(Calls, 1) == nil {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 10 || a.Used()[Calls] != 10 {
		t.Errorf("%d of 100 had one of 10, %d are used", got.Load(), a.Used()[Calls])
	}
	if err := a.Check(); err == nil || !strings.Contains(err.Error(), "this token is at its limit of 10 calls") {
		t.Error(err)
	}
}

func TestUsedUp(t *testing.T) {
	a := tenant("a", Limits{CPUSeconds: 2, MemorySeconds: 1})
	a.Charge(CPU, 1999)
	a.Charge(CPU, -5) // a counter that went back takes nothing off
	if err := a.Check(); err != nil {
		t.Error(err)
	}
	var ended error
	work, other := a.OnEmpty(func(cause error) { ended = cause }), a.OnEmpty(func(error) { t.Error("work that is done was ended") })
	other.Done()
	a.enforce()
	a.Charge(CPU, 1)
	a.enforce()
	a.enforce()
	exceeded, _ := errors.AsType[*Exceeded](ended)
	if exceeded == nil || exceeded.What != "cpu_seconds" || exceeded.Limit != 2 || exceeded.Used != 2 {
		t.Errorf("%v", ended)
	}
	work.Done()
	a.writeHeader()
	policy, left, ok := a.Headers()
	if want := `"cpu_seconds";q=2;w=3600, "memory_gib_seconds";q=1;w=3600`; !ok || policy != want {
		t.Errorf("%v %q", ok, policy)
	}
	if !strings.HasPrefix(left, `"cpu_seconds";r=0;t=`) || !strings.Contains(left, `"memory_gib_seconds";r=1;t=`) {
		t.Errorf("%q", left)
	}
	if _, _, ok := tenant("b", Limits{Weight: 3}).Headers(); ok {
		t.Error("headers of an account without limits")
	}
}

func TestParseLimits(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"{}":                     "",
		`{"sessions":3}`:         "",
		`{"sessions":-1}`:        "less than nothing",
		`{"weight":101}`:         "more than 100",
		`{"queue":5000}`:         "more than 4096",
		`{"session":3}`:          "unknown field",
		`{"sessions":3} x`:       "behind them",
		`{"sessions":1e30}`:      "cannot unmarshal",
		`{"sessions":3,"a":[[[]`: "read limits",
		`[]`:                     "cannot unmarshal",
	} {
		_, err := ParseLimits([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseLimits(f *testing.F) {
	f.Add([]byte(`{"weight":2,"sessions":3}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseLimits(text)
		if err == nil && (l.Check() != nil || l.weight() < 1 || l.weight() > maxWeight || l.QueueLimit() < 1 || l.QueueLimit() > maxQueue) {
			t.Errorf("%s: %+v", text, l)
		}
	})
}
