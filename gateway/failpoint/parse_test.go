package failpoint

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want map[Point]action
		err  string
	}{
		{text: "", want: map[Point]action{}},
		{text: "call-ran=kill", want: map[Point]action{CallRan: {kill: true}}},
		{text: " call-ran=kill@3  commit-begin=error%10 ", want: map[Point]action{CallRan: {kill: true, nth: 3}, CommitBegin: {fail: true, percent: 10}}},
		{text: "drain=sleep(50ms)", want: map[Point]action{Drain: {sleep: 50 * time.Millisecond}}},
		{text: "nowhere=kill", err: `no failpoint "nowhere"`},
		{text: "drain", err: "neither kill"},
		{text: "drain=die", err: "neither kill"},
		{text: "drain=sleep(1h)", err: "no duration"},
		{text: "drain=sleep(-1s)", err: "no duration"},
		{text: "drain=kill@0", err: "neither @"},
		{text: "drain=kill%101", err: "neither @"},
		{text: "drain=kill drain=kill", err: "twice"},
		{text: "call-ended=error", err: "nothing can fail there"},
		{text: strings.Repeat(" ", maxSpec+1), err: "longer than"},
	} {
		got, err := parse(test.text)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v, want an error with %q", test.text, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(action{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("call-ran=kill@3 commit-begin=error%10 drain=sleep(50ms)")
	f.Fuzz(func(t *testing.T, text string) {
		armed, err := parse(text)
		if err != nil {
			return
		}
		for point, act := range armed {
			if !slices.Contains(Points(), point) || !act.kill && !act.fail && act.sleep <= 0 {
				t.Errorf("%q armed %s with %+v", text, point, act)
			}
		}
	})
}

// TestArm holds what this build says of itself: without its tag nothing can be armed.
func TestArm(t *testing.T) {
	if err := Arm("drain=kill@1000000"); (err == nil) != Built {
		t.Errorf("built with failpoints: %t, arming one: %v", Built, err)
	}
	if err := Arm(""); err != nil {
		t.Error(err)
	}
	Reach(Drain) // armed for nothing
}
