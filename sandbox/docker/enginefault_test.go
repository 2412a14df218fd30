package docker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sandgate/sandgate/sandbox"
)

// engineFault is something that befalls an engine, or one container of it.
type engineFault struct {
	name     string
	strike   func(e *privateEngine, t *testing.T, id string)
	repair   func(e *privateEngine, t *testing.T) // nil: it mends itself, and other sandboxes are not touched
	survives bool                                 // the sandbox does
}

func engineFaults() []engineFault {
	return []engineFault{
		{name: "guest killed", strike: (*privateEngine).killGuest},
		{name: "shim killed", strike: (*privateEngine).killShim},
		{name: "container removed", strike: (*privateEngine).removeFromOutside},
		{name: "engine stopped", strike: (*privateEngine).stop, repair: (*privateEngine).goOn, survives: true},
		{name: "engine killed", strike: (*privateEngine).kill, repair: (*privateEngine).start},
	}
}

func (e *privateEngine) killGuest(t *testing.T, id string) {
	t.Helper()
	if err := syscall.Kill(e.guestOf(t, id), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func (e *privateEngine) killShim(t *testing.T, id string) {
	t.Helper()
	if err := syscall.Kill(parentOf(t, e.guestOf(t, id)), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func (e *privateEngine) removeFromOutside(t *testing.T, id string) {
	t.Helper()
	if err := e.client.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
}

// Whatever dies beneath a sandbox: whoever uses it learns of it, nobody waits for an engine that is gone, sandboxes
// can be made as soon as it is back, nothing of ours is left behind, and nothing else is touched.
func TestEngineFaults(t *testing.T) {
	e := startPrivateEngine(t)
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		if _, err := exec.LookPath(runtime); err != nil {
			t.Skip(err)
		}
		for _, fault := range engineFaults() {
			t.Run(fault.name, func(t *testing.T) { e.suffer(t, fault, runtime) })
		}
	})
}

func (e *privateEngine) suffer(t *testing.T, fault engineFault, runtime string) {
	t.Helper()
	driver, err := New(t.Context(), Options{Host: e.host, Image: privateImage, Owner: "test-" + newName(), OrphanTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := driver.Reconcile(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	reaper := StartReaper(driver, time.Hour) // but for the return of the engine
	t.Cleanup(reaper.Close)
	stranger := e.addStranger(t)
	box := create(t, driver, testSpec(runtime))
	call := beginEcho(t, box)

	fault.strike(e, t, box.ID())
	if !fault.survives {
		call.wantsLoss(t, box)
	}
	if fault.repair != nil {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := driver.Create(ctx, testSpec(runtime)); !errors.Is(err, sandbox.ErrUnavailable) || ctx.Err() != nil {
			t.Errorf("without an engine Create = %v, want ErrUnavailable at once", err)
		}
		fault.repair(e, t)
	}
	var next sandbox.Sandbox
	eventually(t, "a sandbox to be made again", func() bool {
		var err error
		next, err = driver.Create(t.Context(), testSpec(runtime))
		return err == nil
	})
	if got, err := post(t.Context(), next.Transport(), "/echo", "well"); err != nil || got != "well" {
		t.Errorf("the next sandbox says %q, %v", got, err)
	}
	if fault.survives {
		call.wantsAnswer(t)
		closeBox(t, box)
	}
	closeBox(t, next)
	eventually(t, "nothing of ours to be left", func() bool { return len(owned(t, driver)) == 0 })
	if _, err := e.client.ContainerInspect(t.Context(), stranger); err != nil {
		t.Errorf("a container that is not ours: %v", err)
	}
}

// addStranger makes a container that looks a lot like ours and is not.
func (e *privateEngine) addStranger(t *testing.T) string {
	t.Helper()
	made, err := e.client.ContainerCreate(t.Context(), &container.Config{
		Image: privateImage, Entrypoint: []string{guestPath}, Labels: map[string]string{labelOwner: "somebody else", labelEpoch: "1"},
	}, nil, nil, nil, newName())
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func closeBox(t *testing.T, box sandbox.Sandbox) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := box.Close(ctx); err != nil {
		t.Error(err)
	}
}

// echo is a call that goes on until its input ends.
type echo struct {
	input *io.PipeWriter
	ended chan error
	said  []byte
}

func beginEcho(t *testing.T, box sandbox.Sandbox) *echo {
	t.Helper()
	body, input := io.Pipe()
	t.Cleanup(func() { _ = input.Close() })
	call := &echo{input: input, ended: make(chan error, 1)}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, sandbox.GuestURL+"/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		response, err := box.Transport().RoundTrip(request)
		if err == nil {
			call.said, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}
		call.ended <- err
	}()
	if _, err := input.Write([]byte("before ")); err != nil {
		t.Fatal(err)
	}
	return call
}

// wantsLoss wants the call to fail and the sandbox to say that it is lost.
func (c *echo) wantsLoss(t *testing.T, box sandbox.Sandbox) {
	t.Helper()
	for _, step := range []struct {
		what string
		is   func() bool
	}{
		{"the sandbox to end", func() bool { return box.Err() != nil }},
		{"the call to fail", func() bool { return len(c.ended) > 0 }},
	} {
		eventually(t, step.what, step.is)
	}
	if err := <-c.ended; err == nil || !errors.Is(box.Err(), sandbox.ErrLost) {
		t.Errorf("the call ended with %v, the sandbox with %v", err, box.Err())
	}
	if _, err := post(t.Context(), box.Transport(), "/echo", "after"); err == nil {
		t.Error("a sandbox that is lost answers")
	}
}

func (c *echo) wantsAnswer(t *testing.T) {
	t.Helper()
	if _, err := c.input.Write([]byte("and after")); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.input.Close(), <-c.ended); err != nil || string(c.said) != "before and after" {
		t.Errorf("the call through it all: %q, %v", c.said, err)
	}
}

// Where the engine's disk is full sandboxes that run go on, and new ones are refused until there is room.
func TestEngineDiskFull(t *testing.T) {
	e := startPrivateEngine(t, func(e *privateEngine) {
		if err := os.Mkdir(e.path("data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", e.path("data"), "tmpfs", 0, "size=64m"); err != nil {
			t.Skipf("no disk can be mounted for the test: %v", err)
		}
	})
	driver, err := New(t.Context(), Options{Host: e.host, Image: privateImage, Owner: "test-" + newName(), OrphanTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	box := create(t, driver, testSpec("runc"))
	filler, err := os.Create(e.path("data/filler"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(filler, neverending{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk does not fill: %v", err)
	}
	for range 3 {
		if _, err := driver.Create(t.Context(), testSpec("runc")); !errors.Is(err, sandbox.ErrUnavailable) {
			t.Errorf("Create = %v, want ErrUnavailable", err)
		}
	}
	if got, err := post(t.Context(), box.Transport(), "/echo", "well"); err != nil || got != "well" {
		t.Errorf("the sandbox that runs says %q, %v", got, err)
	}
	if err := errors.Join(filler.Close(), os.Remove(filler.Name())); err != nil {
		t.Fatal(err)
	}
	closeBox(t, create(t, driver, testSpec("runc")))
	closeBox(t, box)
	if left := owned(t, driver); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// neverending reads as zeros.
type neverending struct{}

func (neverending) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
