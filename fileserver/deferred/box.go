package deferred

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// box is one sandbox: a workspace first, and then a real sandbox.
type box struct {
	driver *Driver
	id     string
	spec   sandbox.Spec
	local  local
	made   atomic.Pointer[sandbox.Sandbox] // nil until something runs

	mu     sync.Mutex
	base   time.Duration // what the real sandbox had used when it was made for the box; guarded by mu
	spent  time.Duration // what those before it have used for the box; guarded by mu
	calls  int           // that the real sandbox is answering; guarded by mu
	idle   chan struct{} // closed when there are none; nil: nobody waits for that. Guarded by mu
	leaves chan struct{} // closed when the real sandbox was given up, or was not; nil: it stays. Guarded by mu
	making chan struct{} // closed when the attempt to make one is over; nil: nobody tries. Guarded by mu
	failed error         // how the last attempt ended; guarded by mu
	closed bool          // guarded by mu

	done chan struct{}
	once sync.Once
	err  error // read after done
}

func (b *box) ID() string            { return b.id }
func (b *box) Spec() sandbox.Spec    { return b.spec }
func (b *box) Done() <-chan struct{} { return b.done }

// Transport carries requests to the files, and others to the real sandbox, which they make.
func (b *box) Transport() http.RoundTripper { return roundTripper{b} }

func (b *box) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

// end closes done.
func (b *box) end(err error) {
	b.once.Do(func() {
		b.err = err
		close(b.done)
	})
}

// Close ends what goes on and removes every file.
func (b *box) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	making, leaves := b.making, b.leaves
	b.mu.Unlock()
	b.end(sandbox.ErrClosed)
	for _, goesOn := range []chan struct{}{making, leaves} {
		if goesOn == nil {
			continue
		}
		select {
		case <-goesOn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var err error
	if made := b.made.Load(); made != nil {
		err = (*made).Close(ctx)
	}
	return errors.Join(err, b.removeFiles(ctx), os.RemoveAll(filepath.Join(b.driver.opts.Folder, b.id)))
}

// errNotMade is the error of what only a real sandbox can be asked.
var errNotMade = errors.New("there is no sandbox yet")

// Usage returns what the real sandboxes of the box have used together, each since it was made for it: one from a pool
// has worked before. It fails where there was none.
func (b *box) Usage(ctx context.Context) (sandbox.Usage, error) {
	b.mu.Lock()
	spent, base := b.spent, b.base
	b.mu.Unlock()
	meter, err := b.meter()
	if errors.Is(err, errNotMade) && spent > 0 {
		return sandbox.Usage{CPU: spent}, nil
	}
	if err != nil {
		return sandbox.Usage{}, err
	}
	use, err := meter.Usage(ctx)
	use.CPU = spent + max(0, use.CPU-base)
	return use, err
}

// SetCPUShare tells the host of the real sandbox.
func (b *box) SetCPUShare(share sandbox.CPUShare) error {
	meter, err := b.meter()
	if err != nil {
		return err
	}
	return meter.SetCPUShare(share)
}

// meter returns the real sandbox as one that can be measured.
func (b *box) meter() (sandbox.Meter, error) {
	made := b.made.Load()
	if made == nil {
		return nil, errNotMade
	}
	meter, ok := (*made).(sandbox.Meter)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return meter, nil
}

// roundTripper is a box as a transport.
type roundTripper struct{ *box }

// RoundTrip answers a request about files while they are here, and has it answered by the real sandbox
// otherwise. A durable call that is asked about is never one of those that were answered here.
func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	made, err := r.enter(req.Context())
	switch path := req.URL.Path; {
	case err != nil:
		return nil, errors.Join(err, closeBody(req))
	case made != nil:
		return r.through(made, req)
	case r.Err() != nil:
		return nil, errors.Join(r.Err(), closeBody(req))
	case strings.HasPrefix(path, "/"+sandgatev1connect.FileServiceName+"/"):
		if res, err := r.local.roundTrip(req); !errors.Is(err, errMoved) {
			return res, err
		}
	case path == sandbox.CallPath:
		return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: req}, closeBody(req)
	}
	if _, err := r.make(req.Context()); err != nil {
		return nil, errors.Join(fmt.Errorf("make the session's sandbox: %w", err), closeBody(req))
	}
	return r.RoundTrip(req) // it may have been given up again
}

// closeBody closes the body of a request that is not sent.
func closeBody(req *http.Request) error {
	if req.Body == nil {
		return nil
	}
	return req.Body.Close()
}
