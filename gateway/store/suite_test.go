package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/gateway/store"
)

// TestStore is what every database does alike.
func TestStore(t *testing.T) {
	for name, newSource := range sources {
		t.Run(name, func(t *testing.T) {
			for _, test := range []struct {
				name string
				run  func(t *testing.T, source string)
			}{
				{"sessions survive reopening", survive},
				{"put replaces", replace},
				{"writes at once", atOnce},
				{"write after close", afterClose},
				{"write of a caller who left", callerLeft},
				{"lose", lose},
				{"two gateways", twoGateways},
				{"keys", keys},
				{"keys that are not there", missingKeys},
				{"revoked at the earlier time", revokeTwice},
				{"tenants", tenants},
				{"two openers at once", openersAtOnce},
				{"calls", calls},
				{"the same call twice", sameCall},
				{"calls of a gateway that died", runningCalls},
				{"calls with NUL bytes", nulCalls},
				{"a page of calls", pageOfCalls},
				{"old calls", oldCalls},
				{"what was used", usage},
				{"what is kept", keptResults},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, newSource(t)) })
			}
		})
	}
}

func survive(t *testing.T, source string) {
	t.Helper()
	first := open(t, source, "a")
	want := example("one")
	do(t, first.Put(t.Context(), want), first.Put(t.Context(), example("two")), first.Delete(t.Context(), "two"))
	lease := store.Lease{ID: "one", IdleTimeout: time.Minute, IdleExpiresAt: want.CreatedAt.Add(time.Hour)}
	do(t, first.Renew(t.Context(), []store.Lease{lease, {ID: "unknown"}}), first.Close())
	want.IdleTimeout, want.IdleExpiresAt = lease.IdleTimeout, lease.IdleExpiresAt
	if diff := cmp.Diff([]store.Session{want}, sessions(t, open(t, source, "a"))); diff != "" {
		t.Errorf("sessions after reopening (-want +got):\n%s", diff)
	}
}

func replace(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	session := example("one")
	for _, reason := range []string{"", "its sandbox died"} {
		session.LostReason = reason
		do(t, db.Put(t.Context(), session))
	}
	if diff := cmp.Diff([]store.Session{session}, sessions(t, db)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func atOnce(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			if err := db.Put(context.WithoutCancel(t.Context()), example(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(sessions(t, db)); got != 300 {
		t.Errorf("%d of 300 sessions kept", got)
	}
}

func afterClose(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	do(t, db.Close())
	if err := db.Put(t.Context(), example("one")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
}

func callerLeft(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// The write may or may not be made; the store must work afterwards.
	_ = db.Put(ctx, example("left"))
	do(t, db.Put(t.Context(), example("stayed")))
}

func lose(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	want := example("one")
	do(t, db.Put(t.Context(), want), db.Lose(t.Context(), "one", "it died"), db.Lose(t.Context(), "deleted before", "it died"))
	want.LostReason = "it died"
	if diff := cmp.Diff([]store.Session{want}, sessions(t, db)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func twoGateways(t *testing.T, source string) {
	t.Helper()
	a, b := open(t, source, "a"), open(t, source, "b")
	do(t, a.Put(t.Context(), example("of a")), b.Put(t.Context(), example("of b")))
	for db, id := range map[*store.DB]string{a: "of a", b: "of b"} {
		if got := sessions(t, db); len(got) != 1 || got[0].ID != id {
			t.Errorf("the gateway with the session %q sees %+v", id, got)
		}
	}
}

func keys(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	before := generation(t, db)
	now := time.UnixMilli(1_700_000_000_123)
	want := []store.Key{
		{
			ID: "k1", Tenant: "acme", Name: "of 'them'", Hash: []byte{0, 1, 0xFF}, Scopes: []string{"files"}, Tools: []string{"files"},
			Addresses: []string{"10.0.0.0/8", "::1/128"}, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		},
		{ID: "k2", Tenant: "default", Hash: []byte{2}, Scopes: []string{}, Tools: []string{}, Addresses: []string{}, CreatedAt: now.Add(1 * time.Second)},
	}
	for _, key := range want {
		do(t, db.PutKey(t.Context(), key))
	}
	if err := db.PutKey(t.Context(), store.Key{ID: "k1", Tenant: "thief", Hash: []byte{9}}); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second key with the same id: %v", err)
	}
	if generation(t, db) == before {
		t.Error("a new key does not show in the generation")
	}
	before = generation(t, db)
	used := now.Add(time.Minute)
	do(t, db.TouchKeys(t.Context(), map[string]time.Time{"k1": used, "unknown": used}),
		db.TouchKeys(t.Context(), map[string]time.Time{"k1": now}))
	if generation(t, db) != before {
		t.Error("the use of a key shows in the generation, so that every gateway would read all keys")
	}
	do(t, db.RevokeKey(t.Context(), "k2", now.Add(time.Hour)), db.Close())
	want[0].LastUsedAt, want[1].RevokedAt = used, now.Add(time.Hour)
	got, err := open(t, source, "a").Keys(t.Context())
	do(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys after reopening (-want +got):\n%s", diff)
	}
}

func missingKeys(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	before := generation(t, db)
	for what, err := range map[string]error{
		"RevokeKey":    db.RevokeKey(t.Context(), "none", time.Now()),
		"DeleteTenant": db.DeleteTenant(t.Context(), "none"),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if generation(t, db) != before {
		t.Error("a change that was not made shows in the generation")
	}
}

func revokeTwice(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	now := time.UnixMilli(1_700_000_000_000)
	do(t, db.PutKey(t.Context(), store.Key{ID: "k", CreatedAt: now, Hash: []byte{}}))
	for _, step := range []struct{ at, want time.Duration }{{time.Hour, time.Hour}, {time.Minute, time.Minute}, {2 * time.Hour, time.Minute}} {
		do(t, db.RevokeKey(t.Context(), "k", now.Add(step.at)))
		got, err := db.Keys(t.Context())
		do(t, err)
		if !got[0].RevokedAt.Equal(now.Add(step.want)) {
			t.Errorf("after a revocation for %s it ends %s after now, not %s", step.at, got[0].RevokedAt.Sub(now), step.want)
		}
	}
}

func tenants(t *testing.T, source string) {
	t.Helper()
	db := open(t, source, "a")
	before := generation(t, db)
	do(t, db.PutTenant(t.Context(), store.Tenant{Name: "b", Settings: []byte(`{}`)}),
		db.PutTenant(t.Context(), store.Tenant{Name: "a", Settings: []byte(`{"weight":1}`)}),
		db.PutTenant(t.Context(), store.Tenant{Name: "a", Settings: []byte(`{"weight":2}`)}),
		db.DeleteTenant(t.Context(), "b"))
	got, err := db.Tenants(t.Context())
	do(t, err)
	if diff := cmp.Diff([]store.Tenant{{Name: "a", Settings: []byte(`{"weight":2}`)}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if generation(t, db) == before {
		t.Error("a tenant does not show in the generation")
	}
}

func openersAtOnce(t *testing.T, source string) {
	t.Helper()
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			db, err := store.Open(context.WithoutCancel(t.Context()), store.Options{Source: source, Owner: "a"})
			if err == nil {
				err = errors.Join(db.Put(context.WithoutCancel(t.Context()), example("one")), db.Close())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
