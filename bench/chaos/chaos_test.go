package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/bench/rig"
	"github.com/sandgate/sandgate/gateway/failpoint"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ciKills is enough for every failpoint and some moments at random.
const ciKills = 50

// TestChaos kills a real gateway at every failpoint and at random, and finds every promise kept.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("makes containers")
	}
	if out, err := exec.Command("docker", "image", "inspect", "sandgate/sandbox:latest").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%v: %s", err, out)
		}
		t.Skipf("no engine with the sandbox image: %v", err)
	}
	binary := filepath.Join(t.TempDir(), "sandgate")
	if err := rig.Build(t.Context(), binary, "failpoints"); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	figures, err := try(t.Context(), options{
		kills: ciKills, seed: uint64(time.Now().UnixNano()), runtime: "runc", image: "sandgate/sandbox:latest", sandgate: binary,
	}, &out)
	if figures != nil {
		figures.print(&out)
	}
	t.Log(out.String())
	switch {
	case err != nil:
		t.Fatal(err)
	case figures.verdict() != nil:
		t.Error(figures.verdict())
	case figures.killed != ciKills || figures.accepted == 0 || figures.atPoints == 0:
		t.Errorf("%d kills, %d of them at failpoints, %d calls: it tried too little", figures.killed, figures.atPoints, figures.accepted)
	}
}

// TestPlans holds that the kills of a test come to every failpoint, and are as many as were asked for.
func TestPlans(t *testing.T) {
	t.Parallel()
	for _, kills := range []int{1, 10, ciKills, 1000} {
		all := plans(kills, rand.New(rand.NewPCG(uint64(kills), 0)))
		sum := 0
		for _, p := range all {
			sum += p.kills()
		}
		if sum != kills {
			t.Errorf("%d kills were asked for, %d are planned", kills, sum)
		}
		if kills < ciKills {
			continue
		}
		for _, point := range failpoint.Points() {
			if !slices.ContainsFunc(all, func(p plan) bool { return p.point == point }) {
				t.Errorf("%d kills never come to %s", kills, point)
			}
		}
	}
}

// TestKinds holds that every failpoint is of a kind that somebody knows how to reach.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, point := range failpoint.Points() {
		known := false
		for _, kind := range []string{"start", "call", "session", "delete", "lease", "commit", "key", "drain"} {
			known = known || plan{point: point}.is(kind)
		}
		if !known {
			t.Errorf("nobody knows how %s is reached", point)
		}
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	var times []time.Duration
	if got := spread(times); got != "-" {
		t.Errorf("of nothing: %q", got)
	}
	for i := range 200 {
		times = append(times, time.Duration(200-i)*time.Millisecond)
	}
	if got, want := spread(times), "101ms / 199ms / 200ms of 200"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
