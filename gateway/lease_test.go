package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func TestLeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{IdleTimeout: durationpb.New(10 * time.Second)}).GetId()
		for range 5 { // each call begins the lease anew
			pass(8 * time.Second)
			if _, err := h.Sandbox(anybody(t.Context()), id); err != nil {
				t.Fatal(err)
			}
		}
		pass(8 * time.Second)
		synctest.Wait()
		// Asking for it does not renew it.
		if _, err := h.getSession(anybody(t.Context()), &sandgatev1.GetSessionRequest{SessionId: id}); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		synctest.Wait()
		_, err := h.Sandbox(anybody(t.Context()), id)
		wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
		if h.engine.open() != 0 || len(h.memory.rows) != 0 {
			t.Errorf("left behind: %d boxes, rows %v", h.engine.open(), h.memory.rows)
		}
	})
}

func TestLeaseDoesNotRunOutUnderACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{IdleTimeout: durationpb.New(time.Second)}).GetId()
		c := &call{principal: identity.Anyone()}
		ctx := withCall(t.Context(), c)
		for range 2 { // asking twice holds once
			if _, err := h.Sandbox(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Hour)
		synctest.Wait()
		if h.Counts().Running != 1 {
			t.Fatal("the session ended under a running call")
		}
		if row, _ := h.memory.row(id); time.Until(row.IdleExpiresAt) < -keepEvery {
			t.Errorf("the store has an old lease: %v", row.IdleExpiresAt)
		}
		c.end()
		pass(2 * time.Second)
		synctest.Wait()
		if h.Counts() != (SessionCounts{}) {
			t.Errorf("counts %+v", h.Counts())
		}
	})
}

func TestHardExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{MaxLifetime: durationpb.New(time.Minute)}).GetId()
		for range 7 {
			pass(8 * time.Second)
			if _, err := h.Sandbox(anybody(t.Context()), id); err != nil {
				t.Fatal(err)
			}
		}
		pass(8 * time.Second)
		synctest.Wait()
		_, err := h.Sandbox(anybody(t.Context()), id)
		wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
	})
}

func TestExtendSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
		synctest.Wait() // the keeper has gone to sleep for longer than the new lease
		res, err := h.extendSession(anybody(t.Context()), &sandgatev1.ExtendSessionRequest{SessionId: id, IdleTimeout: durationpb.New(time.Second)})
		if err != nil || res.GetSession().GetIdleTimeout().AsDuration() != time.Second {
			t.Fatal(res, err)
		}
		if row, _ := h.memory.row(id); row.IdleTimeout != time.Second {
			t.Errorf("row %+v", row)
		}
		pass(1100 * time.Millisecond)
		synctest.Wait()
		_, err = h.extendSession(anybody(t.Context()), &sandgatev1.ExtendSessionRequest{SessionId: id})
		wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
	})
}

func TestShortLeaseOfANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		synctest.Wait()
		h.mustCreate(t, &sandgatev1.CreateSessionRequest{IdleTimeout: durationpb.New(time.Second)})
		pass(1100 * time.Millisecond)
		synctest.Wait()
		if h.Counts() != (SessionCounts{}) {
			t.Errorf("counts %+v", h.Counts())
		}
	})
}

func TestRenewedLeasesAreWrittenNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
		before, _ := h.memory.row(id)
		pass(3 * time.Second)
		if _, err := h.Sandbox(anybody(t.Context()), id); err != nil {
			t.Fatal(err)
		}
		if row, _ := h.memory.row(id); row.IdleExpiresAt != before.IdleExpiresAt {
			t.Error("a call wrote to the store")
		}
		pass(3 * keepEvery)
		synctest.Wait()
		if row, _ := h.memory.row(id); !row.IdleExpiresAt.Equal(before.IdleExpiresAt.Add(3 * time.Second)) {
			t.Errorf("the lease in the store is %v after %v", row.IdleExpiresAt, before.IdleExpiresAt)
		}
	})
}
