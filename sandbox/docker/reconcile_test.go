package docker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sandgate/sandgate/sandbox"
)

// successor returns a driver of the same owner with a later epoch.
func successor(t *testing.T, driver *Driver) *Driver {
	t.Helper()
	return newTestDriver(t, func(o *Options) {
		o.Owner = driver.options.Owner
		o.Epoch = driver.options.Epoch + 1
	})
}

func TestReconcileTakesOverAndRemoves(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		first := newTestDriver(t, nil)
		stays, goes := create(t, first, testSpec(runtime)), create(t, first, testSpec(runtime))
		if got := run(t, stays.Transport(), false, "", "sh", "-c", "echo kept > /home/user/file").Code; got != 0 {
			t.Fatal("write failed")
		}
		if err := first.Close(); err != nil { // what a gateway's death does to the attached streams
			t.Fatal(err)
		}
		waitDone(t, stays)
		second := successor(t, first)
		kept, err := second.Reconcile(t.Context(), func(id string) bool { return id == stays.ID() })
		if err != nil {
			t.Fatal(err)
		}
		if len(kept) != 1 || kept[0].ID() != stays.ID() || kept[0].Spec() != stays.Spec() {
			t.Fatalf("kept %v, want the one called %s", kept, stays.ID())
		}
		if err := second.awaitClean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := run(t, kept[0].Transport(), false, "", "cat", "/home/user/file").Stdout; got != "kept\n" {
			t.Errorf("the workspace reads %q", got)
		}
		if _, err := second.engine.ContainerInspect(t.Context(), goes.ID()); err == nil {
			t.Error("the unwanted sandbox is still there")
		}
		if removed, err := second.Sweep(t.Context()); removed != 0 || err != nil {
			t.Errorf("Sweep = %d, %v; it must leave what is held", removed, err)
		}
		if err := kept[0].Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A container may end between the look at it and the attachment, as one does that somebody was about to
// remove. That must not keep a gateway from starting until its patience is over.
func TestTakeOverOfOneThatHasEnded(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		first := newTestDriver(t, nil)
		made := create(t, first, testSpec(runtime))
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := successor(t, first)
		found, err := second.list(t.Context())
		if err != nil || len(found) != 1 {
			t.Fatalf("%d containers, %v", len(found), err)
		}
		if err := second.engine.ContainerKill(t.Context(), made.ID(), "KILL"); err != nil {
			t.Fatal(err)
		}
		if _, err := second.adopt(t.Context(), found[0]); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("taken over: %v", err)
		}
	})
}

// A second attach must work even while the first connection, of a gateway that hangs, is open.
func TestTakeOverWhileTheFirstHolds(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		first := newTestDriver(t, nil)
		made := create(t, first, testSpec(runtime))
		second := successor(t, first)
		kept, err := second.Reconcile(t.Context(), func(string) bool { return true })
		if err != nil || len(kept) != 1 {
			t.Fatalf("Reconcile = %v, %v", kept, err)
		}
		if answer, err := post(t.Context(), kept[0].Transport(), "/echo", "mine"); err != nil || answer != "mine" {
			t.Errorf("echo = %q, %v", answer, err)
		}
		if removed, err := first.Reconcile(t.Context(), nil); len(removed) != 0 || err != nil {
			t.Errorf("the first driver reconciles %v, %v", removed, err)
		}
		if err := first.awaitClean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if answer, err := post(t.Context(), kept[0].Transport(), "/echo", "still"); err != nil || answer != "still" {
			t.Errorf("after the first driver's reconcile: echo = %q, %v", answer, err)
		}
		if made.ID() != kept[0].ID() {
			t.Errorf("took over %s, want %s", kept[0].ID(), made.ID())
		}
	})
}

// plain makes a container, never started, with the given labels.
func plain(t *testing.T, driver *Driver, labels map[string]string) string {
	t.Helper()
	created, err := driver.engine.ContainerCreate(t.Context(),
		&container.Config{Image: testImage(), Cmd: []string{"true"}, Labels: labels},
		&container.HostConfig{NetworkMode: "none"}, nil, nil, newName())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.removeContainer(context.Background(), created.ID); err != nil {
			t.Error(err)
		}
	})
	return created.ID
}

func TestSweepTouchesOnlyItsOwn(t *testing.T) {
	driver := newTestDriver(t, nil)
	if _, err := driver.Sweep(t.Context()); !errors.Is(err, errNotReconciled) {
		t.Errorf("Sweep before Reconcile = %v", err)
	}
	if _, err := driver.Reconcile(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	label := func(owner string, epoch uint64) map[string]string {
		labels, err := identity{owner: owner, epoch: epoch, created: time.Now(), uid: firstUID, spec: testSpec("runc")}.labels()
		if err != nil {
			t.Fatal(err)
		}
		return labels
	}
	owner, epoch := driver.options.Owner, driver.options.Epoch
	held := create(t, driver, testSpec("runc"))
	gone := []string{
		plain(t, driver, label(owner, epoch)),
		plain(t, driver, label(owner, epoch-1)),
		plain(t, driver, map[string]string{labelOwner: owner}),
	}
	stay := []string{
		held.ID(),
		plain(t, driver, nil),
		plain(t, driver, label(owner+"x", epoch-1)),
		plain(t, driver, label(owner, epoch+1)),
	}
	removed, err := driver.Sweep(t.Context())
	if err != nil || removed != len(gone) {
		t.Errorf("Sweep = %d, %v; want %d", removed, err, len(gone))
	}
	all, err := driver.engine.ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	present := func(id string) bool {
		return slices.ContainsFunc(all, func(c container.Summary) bool { return c.ID == id })
	}
	for _, id := range gone {
		if present(id) {
			t.Errorf("%s is still there", id)
		}
	}
	for _, id := range stay {
		if !present(id) {
			t.Errorf("%s was removed", id)
		}
	}
}

func TestReaperSweeps(t *testing.T) {
	driver := newTestDriver(t, nil)
	if _, err := driver.Reconcile(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	plain(t, driver, map[string]string{labelOwner: driver.options.Owner})
	reaper := StartReaper(driver, 20*time.Millisecond)
	defer reaper.Close()
	for deadline := time.Now().Add(time.Minute); len(owned(t, driver)) > 0; {
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the reaper tells nobody when it is done
		if time.Now().After(deadline) {
			t.Fatal("the reaper removed nothing")
		}
	}
}

func TestForeignUIDsAreNotReused(t *testing.T) {
	driver := newTestDriver(t, nil)
	const uid = firstUID + 77
	plain(t, driver, map[string]string{labelOwner: "somebody else", labelUID: strconv.Itoa(uid)})
	if err := driver.refreshForeign(t.Context()); err != nil {
		t.Fatal(err)
	}
	driver.uids.next = uid - firstUID
	if got, err := driver.uids.take("a"); err != nil || got != uid+1 {
		t.Errorf("take = %d, %v; want %d", got, err, uid+1)
	}
}

func TestLabelsRoundTrip(t *testing.T) {
	want := identity{
		owner: "me", epoch: 1 << 63, created: time.Unix(1_800_000_000, 0).UTC(), uid: firstUID,
		spec: sandbox.Spec{Template: "data", Runtime: "runsc", Limits: sandbox.DefaultLimits()},
	}
	labels, err := want.labels()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseLabels(labels); err != nil || got != want {
		t.Errorf("parseLabels = %+v, %v; want %+v", got, err, want)
	}
	for key := range labels {
		if key == labelOwner || key == labelTemplate {
			continue
		}
		broken := maps.Clone(labels)
		broken[key] = "x"
		if _, err := parseLabels(broken); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("a bad label %s gives %v", key, err)
		}
	}
}
