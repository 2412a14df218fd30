package pyrunner

import (
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
)

func TestLanesShareADeadlineAndForgetIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all lanes
		key := laneKey{"box", "default"}
		first, err := all.enter(key, time.Minute)
		if err != nil || first.left() != time.Minute+grace {
			t.Fatalf("left %v, error %v", first.left(), err)
		}
		second, err := all.enter(key, time.Hour)
		if err != nil || second != first || second.left() != time.Hour+time.Minute+grace {
			t.Fatalf("left %v, error %v", second.left(), err)
		}
		other, err := all.enter(laneKey{"box", "other"}, time.Second)
		if err != nil || other.left() != time.Second+grace {
			t.Fatalf("left %v, error %v", other.left(), err)
		}
		all.leave(key)
		all.leave(key)
		all.leave(laneKey{"box", "other"})
		all.leave(key)
		if len(all.inUse) != 0 {
			t.Errorf("%d lanes are left", len(all.inUse))
		}
	})
}

func TestLanesBoundWaitingCalls(t *testing.T) {
	var all lanes
	key := laneKey{"box", "default"}
	for range maxLaneCalls {
		if _, err := all.enter(key, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := all.enter(key, time.Second); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("error %v", err)
	}
	all.leave(key)
	if _, err := all.enter(key, time.Second); err != nil {
		t.Error(err)
	}
}
