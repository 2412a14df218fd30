package docker

import (
	"errors"
	"testing"
)

func TestSlots(t *testing.T) {
	slots := newSlots()
	seen := map[int]bool{}
	for range uidCount {
		uid, err := slots.take("c")
		if err != nil {
			t.Fatal(err)
		}
		if uid < firstUID || uid >= firstUID+uidCount || seen[uid] {
			t.Fatalf("take gave %d again or out of range", uid)
		}
		seen[uid] = true
	}
	if _, err := slots.take("c"); !errors.Is(err, errNoUID) {
		t.Errorf("take of a full range = %v", err)
	}
	slots.release(firstUID+5, "somebody else")
	if _, err := slots.take("c"); err == nil {
		t.Error("release by another container freed a uid")
	}
	slots.release(firstUID+5, "c")
	if uid, err := slots.take("d"); err != nil || uid != firstUID+5 {
		t.Errorf("take = %d, %v", uid, err)
	}
}
