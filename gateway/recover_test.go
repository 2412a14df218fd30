package gateway

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

func TestRecover(t *testing.T) {
	// A first gateway makes three sessions and is killed: its store stays as it is.
	first := newHouse(t, nil)
	var ids []string
	for i := range 3 {
		ids = append(ids, first.mustCreate(t, &sandgatev1.CreateSessionRequest{
			Template: "data", Metadata: map[string]string{"n": fmt.Sprint(i)},
		}).GetId())
	}
	rows := maps.Clone(first.memory.rows)
	old := rows[ids[2]]
	old.HardExpiresAt = time.Now().Add(-time.Second)
	rows[ids[2]] = old
	due := rows[ids[0]] // its lease ran out while the gateway was down
	due.IdleExpiresAt = time.Now().Add(-time.Hour)
	rows[ids[0]] = due
	spec := first.engine.boxes[0].spec

	second := newHouse(t, func(o *SessionOptions) { o.Store = &memory{rows: rows} })
	adopted, stray := newBox("box-0", spec), newBox("stray", spec)
	err := second.Recover(t.Context(), func(keep func(string) bool) ([]sandbox.Sandbox, error) {
		for id, want := range map[string]bool{"box-0": true, "box-1": true, "box-2": false, "other": false} {
			if keep(id) != want {
				t.Errorf("keep(%s) is %v", id, !want)
			}
		}
		return []sandbox.Sandbox{adopted, stray}, nil // box-1 died on the way
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := second.getSession(anybody(t.Context()), &sandgatev1.GetSessionRequest{SessionId: ids[0]})
	if err != nil || res.GetSession().GetTemplate() != "data" || res.GetSession().GetMetadata()["n"] != "0" ||
		time.Until(res.GetSession().GetIdleExpiresAt().AsTime()) < DefaultIdleTimeout-time.Minute {
		t.Errorf("adopted session: %v, %v", res, err)
	}
	box, err := second.Sandbox(anybody(t.Context()), ids[0])
	if err != nil || box != sandbox.Sandbox(adopted) {
		t.Errorf("adopted session: %v, %v", box, err)
	}
	_, err = second.Sandbox(anybody(t.Context()), ids[1])
	wantError(t, err, connect.CodeFailedPrecondition, ReasonSessionLost)
	if !strings.Contains(err.Error(), goneReason) {
		t.Errorf("%v does not say why", err)
	}
	if !stray.isClosed() || adopted.isClosed() {
		t.Errorf("stray closed: %v, adopted closed: %v", stray.isClosed(), adopted.isClosed())
	}
	adopted.die(sandbox.ErrLost) // it is watched like any other
	<-adopted.closed
}

func TestRecoverFails(t *testing.T) {
	h := newHouse(t, nil)
	half := newBox("half", sandbox.Spec{})
	down := errors.Join(sandbox.ErrUnavailable, errBoom)
	err := h.Recover(t.Context(), func(func(string) bool) ([]sandbox.Sandbox, error) { return []sandbox.Sandbox{half}, down })
	if !errors.Is(err, errBoom) || !half.isClosed() {
		t.Errorf("%v, closed %v", err, half.isClosed())
	}
	// One sandbox that cannot be removed is no reason not to serve.
	if err := h.Recover(t.Context(), func(func(string) bool) ([]sandbox.Sandbox, error) { return nil, errBoom }); err != nil {
		t.Errorf("a stray: %v", err)
	}
}
