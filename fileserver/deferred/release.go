package deferred

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/sandgate/sandgate/fileserver/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/piece"
)

// enter returns the real sandbox, nil for none, and counts a call of it, which through ends. It waits where the
// sandbox is being given up.
func (b *box) enter(ctx context.Context) (sandbox.Sandbox, error) {
	for {
		b.mu.Lock()
		leaves, made := b.leaves, b.made.Load()
		if leaves == nil {
			defer b.mu.Unlock()
			if made == nil {
				return nil, nil //nolint:nilnil // there is none, and that is no error
			}
			b.calls++
			return *made, nil
		}
		b.mu.Unlock()
		select {
		case <-leaves:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// through has the real sandbox answer a request that was counted. The call ends with the body of its answer.
func (b *box) through(made sandbox.Sandbox, req *http.Request) (*http.Response, error) {
	exit := sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.calls--; b.calls == 0 && b.idle != nil {
			close(b.idle)
			b.idle = nil
		}
	})
	res, err := made.Transport().RoundTrip(req)
	if err != nil {
		exit()
		return nil, err
	}
	res.Body = &answer{res.Body, exit}
	return res, nil
}

// answer is the body of an answer of the real sandbox.
type answer struct {
	io.ReadCloser

	over func()
}

func (a *answer) Close() error {
	defer a.over()
	return a.ReadCloser.Close()
}

// Release gives the real sandbox up: the files come back to the store, and everything else is gone. Requests that
// come meanwhile wait; those that run are waited for, for a while.
func (b *box) Release(ctx context.Context) error {
	made, idle, err := b.begin()
	if made == nil || err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-b.done: // nobody wants the files any more
			cancel()
		case <-ctx.Done():
		}
	}()
	var files *store.Workspace
	if err = quiet(ctx, idle); err == nil {
		files, err = b.fetch(ctx, made)
	}
	if err == nil {
		if err = writeRecord(b.driver.opts.Folder, b.id, record{Spec: b.spec}); err == nil {
			b.local.back(files)
		} else {
			err = errors.Join(err, files.Close(), b.clear(ctx))
		}
	}
	last := used(context.WithoutCancel(ctx), made)
	b.mu.Lock()
	if err == nil {
		b.made.Store(nil)
		b.spent += max(0, last-b.base)
	}
	close(b.leaves)
	b.leaves, b.idle = nil, nil
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("give the session's sandbox up: %w", err)
	}
	if err := made.Close(context.WithoutCancel(ctx)); err != nil { // the files are here; the engine's reaper does the rest
		b.driver.opts.Log.Error("cannot close a sandbox that was given up", "sandbox", made.ID(), "err", err)
	}
	return nil
}

// Made tells whether there is a real sandbox now.
func (b *box) Made() bool { return b.made.Load() != nil && b.Err() == nil }

// begin has calls wait until the real sandbox is given up, and returns what is closed when none runs any more. It
// returns nil where there is no sandbox.
func (b *box) begin() (made sandbox.Sandbox, idle <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	there := b.made.Load()
	switch {
	case b.closed || b.Err() != nil:
		return nil, nil, sandbox.ErrClosed
	case b.making != nil || b.leaves != nil:
		return nil, nil, sandbox.ErrBusy
	case there == nil:
		return nil, nil, nil
	}
	b.leaves, b.idle = make(chan struct{}), make(chan struct{})
	idle = b.idle
	if b.calls == 0 {
		close(b.idle)
		b.idle = nil
	}
	return *there, idle, nil
}

// quiet waits until nothing goes on.
func quiet(ctx context.Context, idle <-chan struct{}) error {
	grace := time.NewTimer(moveGrace)
	defer grace.Stop()
	select {
	case <-idle:
		return nil
	case <-grace.C:
		return sandbox.ErrBusy
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// clear removes what was fetched.
func (b *box) clear(ctx context.Context) error {
	return store.Remove(context.WithoutCancel(ctx), filepath.Join(b.driver.opts.Folder, b.id, filesName))
}

// fetch takes the files over from the real sandbox into a new workspace. Nothing is left of that where it fails.
func (b *box) fetch(ctx context.Context, made sandbox.Sandbox) (*store.Workspace, error) {
	if err := b.clear(ctx); err != nil {
		return nil, err
	}
	files, err := b.driver.workspace(b.id, b.spec)
	if err != nil {
		return nil, err
	}
	if err := b.copyBack(ctx, made, files); err != nil {
		return nil, errors.Join(err, files.Close(), b.clear(ctx))
	}
	return files, nil
}

// copyBack copies the files of the real sandbox into a workspace.
func (b *box) copyBack(ctx context.Context, made sandbox.Sandbox, files *store.Workspace) error {
	ctx, cancel := context.WithTimeout(guestrpc.WithSandbox(sandbox.WithDurable(ctx, nil), made), b.driver.opts.Timeout)
	defer cancel()
	guest := sandgatev1connect.NewFileServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(maxMessageBytes)...)
	from, err := guest.Export(ctx, &sandgatev1.ExportRequest{})
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		_ = from.Close()
	}()
	home := &local{handler: b.driver.handler, files: files}
	to, err := sandgatev1connect.NewFileServiceClient(direct{home}, "http://store").Import(ctx)
	if err != nil {
		return err
	}
	refused := to.Send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Header{Header: &sandgatev1.ImportHeader{}}})
	for refused == nil && from.Receive() {
		refused = to.Send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Data{Data: from.Msg().GetData()}})
		piece.Free(from.Msg().GetData())
	}
	if refused == nil && from.Err() != nil { // what came is not all, and must not look as if it were
		cancel()
		return from.Err()
	}
	if _, err := to.CloseAndReceive(); err != nil {
		return err
	}
	return refused
}
