package deferred_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// release has the session give its sandbox up.
func (s *session) release() error {
	s.Helper()
	releaser, ok := s.Sandbox.(sandbox.Releaser)
	if !ok {
		s.Fatalf("%T keeps its sandbox", s.Sandbox)
	}
	return releaser.Release(s.Context())
}

// TestReleased gives the sandbox up, and begins another one later.
func TestReleased(t *testing.T) {
	r := newRig(t)
	s := r.session()
	s.write("kept", "one")
	if err := s.release(); err != nil || s.count() != 0 {
		t.Errorf("without a sandbox: %v", err)
	}
	s.mustRun("head -c 3000000 /dev/zero > large; for i in $(seq 300); do echo $i > f$i; done; echo two > more; mkdir -p a/b; chmod 700 a; ln -s kept link; sleep 600 &")
	first := r.made[0]
	if err := s.release(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(first.Err(), sandbox.ErrClosed) {
		t.Errorf("the sandbox is there: %v", first.Err())
	}
	if got := s.read("kept") + s.read("more") + s.read("link"); got != "onetwo\none" || s.Err() != nil {
		t.Errorf("%q, %v", got, s.Err())
	}
	s.write("more", "three")
	if got := s.mustRun("cat f300; stat -c %s large"); got != "300\n3000000\n" {
		t.Errorf("%q", got)
	}
	if err := s.release(); err != nil {
		t.Fatal(err)
	}
	if got := s.mustRun("cat more; stat -c %a a; ls a"); got != "three700\nb\n" || s.count() != 3 {
		t.Errorf("%q with %d sandboxes", got, s.count())
	}
	if err := s.release(); err != nil || s.read("more") != "three" {
		t.Error(err)
	}
	again := r.again()
	boxes, err := again.Reconcile(t.Context(), func(id string) bool { return id == s.ID() }, func(keep func(string) bool) ([]sandbox.Sandbox, error) {
		if keep(r.made[2].ID()) {
			t.Error("the sandbox that was given up is kept")
		}
		return nil, nil
	})
	if err != nil || len(boxes) != 1 || r.sessionOf(boxes[0]).read("more") != "three" {
		t.Errorf("%v, %v", boxes, err)
	}
}

// TestReleaseWaitsForNobody refuses while something is answered, and leaves everything as it was.
func TestReleaseWaitsForNobody(t *testing.T) {
	s := newRig(t).session()
	s.write("kept", "one")
	begun, over := make(chan struct{}), make(chan error, 1)
	go func() {
		ctx := guestrpc.WithSandbox(t.Context(), s.Sandbox)
		stream, err := s.process.Shell(ctx, &sandgatev1.ShellRequest{Command: "echo begun; sleep 3; cat kept"})
		if err != nil {
			over <- err
			return
		}
		defer func() { _ = stream.Close() }()
		for first := true; stream.Receive(); first = false {
			if first {
				close(begun)
			}
		}
		over <- stream.Err()
	}()
	<-begun
	if err := s.release(); !errors.Is(err, sandbox.ErrBusy) {
		t.Errorf("%v", err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	if err := s.release(); err != nil || s.read("kept") != "one" {
		t.Error(err)
	}
}

// TestReleasesAndCallsTogether loses nothing that was acknowledged, however they meet.
func TestReleasesAndCallsTogether(t *testing.T) {
	s := newRig(t).session()
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name, text := fmt.Sprintf("w%d", w), fmt.Sprint(i)
				if err := s.tryWrite(name, text); err != nil {
					t.Errorf("%v", err)
					return
				}
				if got := s.read(name); got != text {
					t.Errorf("%s has %q, not %q", name, got, text)
					return
				}
			}
		})
	}
	for range 5 {
		s.mustRun("true")
		if err := s.release(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	writers.Wait()
}
