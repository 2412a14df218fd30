package gateway

import (
	"errors"
	"testing"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// A deletion that was acknowledged must not come back, so it is not before the row is gone.
func TestDeleteSessionWhileTheStoreFails(t *testing.T) {
	h := newHouse(t, nil)
	id := h.mustCreate(t, &sandgatev1.CreateSessionRequest{}).GetId()
	h.memory.failing(errors.New("the disk is full"))
	answered := make(chan error, 1)
	go func() {
		_, err := h.deleteSession(anybody(t.Context()), &sandgatev1.DeleteSessionRequest{SessionId: id})
		answered <- err
	}()
	for !h.engine.last().isClosed() { // which comes after the first attempt
		time.Sleep(time.Millisecond) //nolint:forbidigo // the engine tells nobody
	}
	select {
	case err := <-answered:
		t.Errorf("answered while the row is there: %v", err)
	default:
	}
	h.memory.failing(nil)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if _, kept := h.memory.row(id); kept {
		t.Error("the row is there")
	}
}
