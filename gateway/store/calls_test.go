package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sandgate/sandgate/gateway/store"
)

// exampleCall is a call that begins, n milliseconds after an arbitrary time.
func exampleCall(n int) store.Call {
	return store.Call{
		Tenant: "acme", ID: fmt.Sprintf("call_%03d", n), CallID: fmt.Sprintf("mine-%d", n), SessionID: "ses_1", Tool: "python_run",
		Hash: []byte{1, 2, byte(n)}, State: store.CallRunning, Result: []byte{}, CreatedAt: time.UnixMilli(1_700_000_000_000 + int64(n)),
	}
}

func begin(t *testing.T, db *store.DB, call store.Call) {
	t.Helper()
	if _, began, err := db.BeginCall(t.Context(), call); err != nil || !began {
		t.Fatalf("%s began: %v, %v", call.ID, began, err)
	}
}

func calls(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	want := exampleCall(1)
	begin(t, db, want)
	want.State, want.Status, want.Result, want.Error, want.EndedAt = store.CallEnded, 2, []byte{0, 255}, `{"code":"x"}`, want.CreatedAt.Add(time.Second)
	do(t, db.EndCall(t.Context(), want), db.Close())
	db = open(t, source, "a")
	for _, name := range []string{want.ID, want.CallID} {
		got, err := db.Call(t.Context(), "acme", name)
		do(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s after reopening (-want +got):\n%s", name, diff)
		}
	}
	for _, who := range []struct{ tenant, id string }{{"other", want.ID}, {"other", want.CallID}, {"acme", ""}, {"acme", "none"}} {
		if got, err := db.Call(t.Context(), who.tenant, who.id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%+v: %+v, %v", who, got, err)
		}
	}
}

func sameCall(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	var began atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			call := exampleCall(i)
			call.CallID = "one"
			kept, first, err := db.BeginCall(context.WithoutCancel(t.Context()), call)
			if err != nil || kept.CallID != "one" || first != (kept.ID == call.ID) {
				t.Errorf("%s: %+v, %v, %v", call.ID, kept, first, err)
			}
			if first {
				began.Add(1)
			}
		})
	}
	all.Wait()
	if began.Load() != 1 {
		t.Errorf("%d calls began with one id", began.Load())
	}
	other := exampleCall(99)
	other.Tenant, other.CallID = "other", "one"
	begin(t, db, other) // another tenant's ids are its own
}

// nulCalls are of somebody who wants a database to refuse them, and others with them.
func nulCalls(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	call := exampleCall(1)
	call.CallID, call.SessionID = "a\x00b", "ses_\x00"
	begin(t, db, call)
	if _, again, err := db.BeginCall(t.Context(), call); err != nil || again {
		t.Errorf("it began twice: %v, %v", again, err)
	}
	call.State, call.Error = store.CallEnded, "\x00"
	do(t, db.EndCall(t.Context(), call))
	noted := exampleCall(2)
	noted.SessionID, noted.Error = "\x00", "\x00"
	do(t, db.RecordCalls(t.Context(), []store.Call{noted, exampleCall(3)}))
	if _, err := db.Call(t.Context(), "acme", "\x00"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	got, err := db.Calls(t.Context(), store.CallFilter{Tenant: "acme", SessionID: "none\x00", BeforeID: "\x00", Limit: 9})
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	do(t, db.Put(t.Context(), example("one")), db.Lose(t.Context(), "one", "died\x00"))
}

// runningCalls are found by the gateway after a death, each as it was written down, and nobody else's.
// Once they have ended, nothing is left of their requests.
func runningCalls(t *testing.T, source string) {
	t.Helper()
	a, b := open(t, source, "a"), open(t, source, "b")
	ran, ends, theirs, plain := exampleCall(1), exampleCall(2), exampleCall(3), exampleCall(4)
	ran.Request, ends.Request = []byte{0, 255, 7}, []byte{1}
	for _, call := range []store.Call{ran, ends, plain} {
		begin(t, a, call)
	}
	begin(t, b, theirs)
	ends.State, ends.EndedAt = store.CallEnded, ends.CreatedAt
	do(t, a.EndCall(t.Context(), ends), a.Close())
	a = open(t, source, "a")
	got, err := a.RunningCalls(t.Context())
	do(t, err)
	if diff := cmp.Diff([]store.Call{ran, plain}, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ends.State = store.CallRunning
	do(t, a.EndCall(t.Context(), ends)) // as no gateway does: what is left of it?
	got, err = a.RunningCalls(t.Context())
	do(t, err)
	if len(got) != 3 || len(got[1].Request) != 0 {
		t.Errorf("got %+v", got)
	}
}

func pageOfCalls(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	var ended []store.Call
	for i := range 5 {
		call := exampleCall(i)
		call.State, call.CallID, call.EndedAt = store.CallEnded, "", call.CreatedAt
		call.CreatedAt = time.UnixMilli(1_700_000_000_000 + int64(i/2)) // two at a time
		ended = append(ended, call)
	}
	do(t, db.RecordCalls(t.Context(), ended), db.RecordCalls(t.Context(), ended[:2]))
	running := exampleCall(7)
	running.SessionID = "ses_2"
	begin(t, db, running)
	list := func(f store.CallFilter) (ids []string, last store.Call) {
		f.Tenant = "acme"
		got, err := db.Calls(t.Context(), f)
		do(t, err)
		for _, call := range got {
			ids, last = append(ids, call.ID), call
		}
		return ids, last
	}
	first, last := list(store.CallFilter{Limit: 3})
	second, _ := list(store.CallFilter{Limit: 10, Before: last.CreatedAt, BeforeID: last.ID})
	inSession, _ := list(store.CallFilter{Limit: 10, SessionID: "ses_2"})
	stillRunning, _ := list(store.CallFilter{Limit: 10, Running: true})
	want := [][]string{{"call_007", "call_004", "call_003"}, {"call_002", "call_001", "call_000"}, {"call_007"}, {"call_007"}}
	if diff := cmp.Diff(want, [][]string{first, second, inSession, stillRunning}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func oldCalls(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	running, old, fresh := exampleCall(0), exampleCall(1), exampleCall(500)
	for _, call := range []*store.Call{&running, &old, &fresh} {
		begin(t, db, *call)
	}
	for _, call := range []store.Call{old, fresh} {
		call.State, call.EndedAt = store.CallEnded, call.CreatedAt
		do(t, db.EndCall(t.Context(), call))
	}
	do(t, db.ForgetCalls(t.Context(), fresh.CreatedAt))
	for id, kept := range map[string]bool{running.ID: true, old.ID: false, fresh.ID: true} {
		if _, err := db.Call(t.Context(), "acme", id); (err == nil) != kept {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func usage(t *testing.T, source string) {
	t.Helper()
	hour := time.Unix(1_700_000_000, 0).Truncate(time.Hour)
	add := store.Usage{Account: "acme", Window: hour, Amounts: [5]int64{1, 2, 3, 4, 1 << 40}}
	next := store.Usage{Account: "acme", Window: hour.Add(time.Hour), Amounts: [5]int64{1}}
	other := store.Usage{Account: "b", Window: hour, Amounts: [5]int64{5}}
	a, b := open(t, source, "a"), open(t, source, "b")
	do(t, a.AddUsage(t.Context(), []store.Usage{add, next}), b.AddUsage(t.Context(), []store.Usage{add, other}), a.Close())
	sum := add
	sum.Amounts = [5]int64{2, 4, 6, 8, 1 << 41}
	read := func(account string, since time.Time, want ...store.Usage) {
		t.Helper()
		got, err := b.UsageSince(t.Context(), account, since)
		do(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q since %s (-want +got):\n%s", account, since, diff)
		}
	}
	read("", hour, sum, other, next)
	read("acme", hour, sum, next)
	read("acme", hour.Add(time.Second), next)
	do(t, b.ForgetUsage(t.Context(), hour.Add(time.Second)))
	read("", time.Time{}, next)
}

func keptResults(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	for i, size := range []int{10, 20, 40} {
		call := exampleCall(i)
		if i == 2 {
			call.Tenant = "other"
		}
		begin(t, db, call)
		call.State, call.Result, call.EndedAt = store.CallEnded, make([]byte, size), call.CreatedAt
		do(t, db.EndCall(t.Context(), call))
	}
	got, err := db.KeptResults(t.Context())
	do(t, err)
	if diff := cmp.Diff(map[string]int64{"acme": 30, "other": 40}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
