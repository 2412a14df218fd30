package docker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sandgate/sandgate/sandbox"
)

func waitDone(t *testing.T, made sandbox.Sandbox) {
	t.Helper()
	select {
	case <-made.Done():
	case <-time.After(time.Minute):
		t.Fatal("the sandbox did not end")
	}
}

func TestCreateAnswersAndCloses(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		driver := newTestDriver(t, nil)
		made := create(t, driver, testSpec(runtime))
		answer, err := post(t.Context(), made.Transport(), "/echo", "hello")
		if err != nil || answer != "hello" {
			t.Fatalf("echo = %q, %v", answer, err)
		}
		if made.Err() != nil {
			t.Errorf("Err before the end = %v", made.Err())
		}
		if got := made.Spec().Limits.WorkspaceFiles; got != sandbox.DefaultLimits().WorkspaceFiles {
			t.Errorf("the spec lacks defaults: %+v", made.Spec())
		}
		for range 2 {
			if err := made.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		waitDone(t, made)
		if !errors.Is(made.Err(), sandbox.ErrClosed) {
			t.Errorf("Err = %v, want ErrClosed", made.Err())
		}
		if _, err := post(t.Context(), made.Transport(), "/echo", ""); err == nil {
			t.Error("the transport works after the end")
		}
		if left := owned(t, driver); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestBulkBytesSurvive(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		made := create(t, newTestDriver(t, nil), testSpec(runtime))
		body := strings.Repeat("0123456789abcdef", 1<<18)
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := post(t.Context(), made.Transport(), "/noise", ""); err != nil {
				t.Error(err)
			}
		})
		answer, err := post(t.Context(), made.Transport(), "/echo", body)
		group.Wait()
		if err != nil || answer != body {
			t.Errorf("%d bytes came back, want %d: %v", len(answer), len(body), err)
		}
	})
}

func TestParallelCreatesHaveTheirOwnUsers(t *testing.T) {
	driver := newTestDriver(t, func(o *Options) { o.MaxCreating = 2 })
	const count = 6
	var group sync.WaitGroup
	made := make([]sandbox.Sandbox, count)
	for i := range made {
		group.Go(func() {
			var err error
			if made[i], err = driver.Create(t.Context(), testSpec("runc")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	users := map[string]bool{}
	for _, each := range made {
		if each == nil {
			t.FailNow()
		}
		users[run(t, each.Transport(), false, "", "id", "-u").Stdout] = true
	}
	if len(users) != count {
		t.Errorf("%d sandboxes share %d uids", count, len(users))
	}
}

func TestLossIsExplained(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		for _, test := range []struct {
			name, path string
			want       []string
		}{
			{"exit", "/exit?code=7", []string{"exited with code 7", "asked to exit"}},
			{"memory", "/eat", []string{"out of memory"}},
		} {
			t.Run(test.name, func(t *testing.T) {
				driver := newTestDriver(t, nil)
				made := create(t, driver, testSpec(runtime))
				if _, err := post(t.Context(), made.Transport(), test.path, ""); err == nil {
					t.Error("the request that ended the guest succeeded")
				}
				waitDone(t, made)
				if !errors.Is(made.Err(), sandbox.ErrLost) {
					t.Errorf("Err = %v, want ErrLost", made.Err())
				}
				for _, want := range test.want {
					if !strings.Contains(made.Err().Error(), want) {
						t.Errorf("Err = %q, want %q in it", made.Err(), want)
					}
				}
				if err := made.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if left := owned(t, driver); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	})
}

func TestKilledFromOutside(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		driver := newTestDriver(t, nil)
		made := create(t, driver, testSpec(runtime))
		if err := driver.engine.ContainerRemove(t.Context(), made.ID(), container.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		waitDone(t, made)
		if !errors.Is(made.Err(), sandbox.ErrLost) {
			t.Errorf("Err = %v, want ErrLost", made.Err())
		}
		if err := made.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		t.Run("guest crashes", func(t *testing.T) {
			driver := newTestDriver(t, nil)
			spec := testSpec(runtime)
			spec.Template = "crash"
			_, err := driver.Create(t.Context(), spec)
			if err == nil || !strings.Contains(err.Error(), "the zygote?[31m would not start") {
				t.Errorf("error = %v, want the guest's last words", err)
			}
			if !errors.Is(err, sandbox.ErrUnavailable) {
				t.Errorf("error = %v, want ErrUnavailable", err)
			}
			if left := owned(t, driver); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
		t.Run("caller leaves", func(t *testing.T) {
			driver := newTestDriver(t, nil)
			spec := testSpec(runtime)
			spec.Template = "hang"
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if _, err := driver.Create(ctx, spec); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want the deadline", err)
			}
			eventually(t, "the container to be removed, behind a caller who has left", func() bool { return len(owned(t, driver)) == 0 })
		})
		t.Run("no image", func(t *testing.T) {
			driver := newTestDriver(t, func(o *Options) { o.Image = "sandgate/none:such" })
			_, err := driver.Create(t.Context(), testSpec(runtime))
			if err == nil || errors.Is(err, sandbox.ErrUnavailable) || !strings.Contains(err.Error(), "make setup") {
				t.Errorf("error = %v, want what to do", err)
			}
		})
	})
}

func TestCreateRefusesBadSpecs(t *testing.T) {
	driver := newTestDriver(t, nil)
	for _, test := range []struct {
		name   string
		change func(*sandbox.Spec)
	}{
		{"runtime", func(s *sandbox.Spec) { s.Runtime = "kata" }},
		{"template", func(s *sandbox.Spec) { s.Template = "--uid=0" }},
		{"no template", func(s *sandbox.Spec) { s.Template = "" }},
		{"limits", func(s *sandbox.Spec) { s.Limits.MemoryBytes = 1 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := testSpec("runc")
			test.change(&spec)
			if _, err := driver.Create(t.Context(), spec); err == nil {
				t.Errorf("Create(%+v) succeeded", spec)
			}
		})
	}
}
