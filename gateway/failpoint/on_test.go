//go:build failpoints

package failpoint

import (
	"errors"
	"testing"
)

func TestTimes(t *testing.T) {
	t.Cleanup(func() { _ = Arm("") })
	if err := Arm("call-begin=error@3 key-change=error"); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 5; i++ {
		if err := Fail(CallBegin); errors.Is(err, errInjected) != (i == 3) {
			t.Errorf("time %d: %v", i, err)
		}
		if err := Fail(KeyChange); !errors.Is(err, errInjected) {
			t.Errorf("time %d of one that always fails: %v", i, err)
		}
		if err := Fail(SessionTaken); err != nil {
			t.Errorf("one that is not armed: %v", err)
		}
	}
}
