package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

func TestLostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
		h.engine.last().die(fmt.Errorf("%w: out of memory\xff", sandbox.ErrLost))
		synctest.Wait()
		_, err := h.Sandbox(anybody(t.Context()), id)
		wantError(t, err, connect.CodeFailedPrecondition, ReasonSessionLost)
		if !strings.Contains(err.Error(), "out of memory") {
			t.Errorf("%v does not say why", err)
		}
		res, err := h.getSession(anybody(t.Context()), &sandgatev1.GetSessionRequest{SessionId: id})
		if err != nil || res.GetSession().GetState() != sandgatev1.SessionState_SESSION_STATE_LOST || res.GetSession().GetLostReason() == "" {
			t.Errorf("%v, %v", res, err)
		}
		if !h.engine.last().isClosed() {
			t.Error("what is left of the sandbox was not closed")
		}
		if row, _ := h.memory.row(id); row.LostReason == "" {
			t.Error("the store does not know")
		}
		if h.Counts() != (SessionCounts{Lost: 1}) {
			t.Errorf("counts %+v", h.Counts())
		}
		if _, err := h.deleteSession(anybody(t.Context()), &sandgatev1.DeleteSessionRequest{SessionId: id}); err != nil {
			t.Error(err)
		}
	})
}

func TestLostSessionsAreForgottenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		h.mustCreate(t, &sandgatev1.CreateSessionRequest{})
		h.engine.last().die(sandbox.ErrLost)
		pass(DefaultIdleTimeout + keepEvery)
		synctest.Wait()
		if len(h.memory.rows) != 0 {
			t.Errorf("rows %v", h.memory.rows)
		}
	})
}
