package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guest"
	"github.com/sandgate/sandgate/sandbox/guest/channel"
)

// Fake is a driver without an engine: the real guest, in this process, behind the real channel on a
// pipe in memory. There is no wall around it, so it is for tests of trusted code only. It passes the
// same suite as the real drivers, less what only a wall can do. The zero value is ready.
type Fake struct {
	// Kernel is the command line of the kernels' zygote. Nil means no Python.
	Kernel []string

	made atomic.Int64
}

// nobody is whom the fake's programs run as when the tests run as root.
const nobody = 65534

// Create makes a sandbox in a directory of its own.
func (f *Fake) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	spec.Limits = spec.Limits.WithDefaults()
	box := &fakeSandbox{id: fmt.Sprintf("fake-%d", f.made.Add(1)), spec: spec, done: make(chan struct{})}
	if err := box.open(ctx, f.Kernel); err != nil {
		return nil, errors.Join(err, os.RemoveAll(box.home))
	}
	return box, nil
}

type fakeSandbox struct {
	id    string
	spec  sandbox.Spec
	home  string
	guest *guest.Guest
	link  *channel.Client
	serve chan struct{} // closed when the guest's end of the channel is done

	endOnce sync.Once
	done    chan struct{}
	err     error // set before done is closed
	closing sync.Once
}

func (b *fakeSandbox) open(ctx context.Context, kernel []string) error {
	var err error
	if b.home, err = os.MkdirTemp("", "sandgate-fake-*"); err != nil {
		return err
	}
	uid := 0
	if os.Getuid() == 0 {
		uid = nobody
		if err := os.Chown(b.home, uid, uid); err != nil {
			return err
		}
	}
	b.guest, err = guest.New(guest.Config{
		UID: uid, Home: b.home, Template: b.spec.Template, Kernel: kernel, Version: "fake",
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + b.home, "LANG=C.UTF-8"},
	})
	if err != nil {
		return err
	}
	ours, theirs := net.Pipe()
	b.serve = make(chan struct{})
	go func() {
		defer close(b.serve)
		_ = channel.Serve(context.Background(), theirs, b.guest.Handler(), channel.ServerOptions{})
	}()
	if b.link, err = channel.Dial(ctx, ours, uint64(time.Now().UnixNano())); err != nil {
		_ = theirs.Close()
		<-b.serve
		return errors.Join(err, b.guest.Close())
	}
	return nil
}

func (b *fakeSandbox) ID() string                   { return b.id }
func (b *fakeSandbox) Spec() sandbox.Spec           { return b.spec }
func (b *fakeSandbox) Transport() http.RoundTripper { return b.link }
func (b *fakeSandbox) Done() <-chan struct{}        { return b.done }

func (b *fakeSandbox) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

func (b *fakeSandbox) end(err error) {
	b.endOnce.Do(func() {
		b.err = err
		close(b.done)
	})
}

// Close ends the sandbox and removes its directory.
func (b *fakeSandbox) Close(context.Context) error {
	var err error
	b.closing.Do(func() {
		b.end(sandbox.ErrClosed)
		err = b.shut()
	})
	return err
}

func (b *fakeSandbox) shut() error {
	_ = b.link.Close()
	<-b.serve
	err := b.guest.Close()
	return errors.Join(err, os.RemoveAll(b.home))
}

// Lose ends a sandbox of a Fake as a crash of its engine would.
func Lose(s sandbox.Sandbox) {
	box, ok := s.(*fakeSandbox)
	if !ok {
		return
	}
	box.closing.Do(func() {
		box.end(fmt.Errorf("%w: the test killed it", sandbox.ErrLost))
		_ = box.shut()
	})
}
