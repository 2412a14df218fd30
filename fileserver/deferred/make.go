package deferred

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sandgate/sandgate/fileserver/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// maxMessageBytes bounds one message of a guest that takes files over, or gives them back in pieces of 64 KiB.
const maxMessageBytes = 256 << 10

// make returns the real sandbox, and makes it if there is none. Any number of callers wait for one attempt,
// which goes on when its first caller leaves. After a failed one the files are where they were, and the next
// caller tries again.
func (b *box) make(ctx context.Context) (sandbox.Sandbox, error) {
	b.mu.Lock()
	if made := b.made.Load(); made != nil {
		b.mu.Unlock()
		return *made, nil
	}
	if b.closed {
		b.mu.Unlock()
		return nil, sandbox.ErrClosed
	}
	if b.making == nil {
		b.making = make(chan struct{})
		go b.attempt(context.WithoutCancel(ctx), b.making)
	}
	making := b.making
	b.mu.Unlock()
	select {
	case <-making:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if made := b.made.Load(); made != nil {
		return *made, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return nil, b.failed
}

// attempt makes the real sandbox. The end of the box ends it, and leaves none behind.
func (b *box) attempt(ctx context.Context, over chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, b.driver.opts.Timeout)
	defer cancel()
	go func() {
		select {
		case <-b.done:
			cancel()
		case <-over:
		}
	}()
	made, err := b.move(ctx)
	base := used(ctx, made)
	b.mu.Lock()
	b.base = base
	closed := b.closed
	b.mu.Unlock()
	if err == nil && closed { // before it could be seen
		err = errors.Join(sandbox.ErrClosed, made.Close(context.WithoutCancel(ctx)))
	}
	b.settle(made, err)
	close(over)
}

// lookTimeout bounds how long an engine may take to tell what a sandbox has used.
const lookTimeout = 2 * time.Second

// used returns the processor time that a sandbox has used, zero where that cannot be told.
func used(ctx context.Context, made sandbox.Sandbox) time.Duration {
	meter, ok := made.(sandbox.Meter)
	if !ok {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	use, err := meter.Usage(ctx)
	if err != nil {
		return 0
	}
	return use.CPU
}

// settle notes how an attempt ended.
func (b *box) settle(made sandbox.Sandbox, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.making, b.failed = nil, err
	if err == nil {
		b.made.Store(&made)
		go b.follow(made)
	}
}

// follow ends the box with its real sandbox.
func (b *box) follow(made sandbox.Sandbox) {
	select {
	case <-made.Done():
		if now := b.made.Load(); now != nil && *now == made { // otherwise it was given up
			b.end(made.Err())
		}
	case <-b.done:
	}
}

// move makes a real sandbox, gives it the files and makes it their owner. Nothing is changed where it fails.
func (b *box) move(ctx context.Context) (sandbox.Sandbox, error) {
	if err := b.local.stop(ctx); err != nil {
		return nil, err
	}
	made, err := b.driver.opts.Driver.Create(ctx, b.spec)
	if err == nil {
		err = b.hand(ctx, made)
		if err == nil {
			err = writeRecord(b.driver.opts.Folder, b.id, record{Spec: b.spec, Made: made.ID()})
		}
		if err != nil {
			err = errors.Join(err, made.Close(context.WithoutCancel(ctx)))
		}
	}
	if err != nil {
		b.local.resume()
		return nil, err
	}
	b.local.leave()
	if err := b.removeFiles(ctx); err != nil {
		b.driver.opts.Log.Warn("files that a sandbox took over were not removed", "sandbox", b.id, "err", err)
	}
	return made, nil
}

// removeFiles removes the files here, and ends the watches of them.
func (b *box) removeFiles(ctx context.Context) error {
	if err := b.local.workspace().Close(); err != nil {
		return err
	}
	return store.Remove(ctx, filepath.Join(b.driver.opts.Folder, b.id, filesName))
}

// hand streams the files into a sandbox.
func (b *box) hand(ctx context.Context, made sandbox.Sandbox) error {
	ctx, cancel := context.WithCancel(guestrpc.WithSandbox(sandbox.WithDurable(ctx, nil), made))
	defer cancel()
	target := sandgatev1connect.NewFileServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(maxMessageBytes)...)
	stream, err := target.Import(ctx)
	if err != nil {
		return fmt.Errorf("hand the files over: %w", err)
	}
	refused := stream.Send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Header{Header: &sandgatev1.ImportHeader{}}})
	if refused == nil {
		err = b.local.export(ctx, func(piece []byte) error {
			refused = stream.Send(&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Data{Data: piece}})
			return refused
		})
	}
	if err != nil && refused == nil { // what was sent is not all, and must not look as if it were
		return fmt.Errorf("hand the files over: %w", err)
	}
	if _, err := stream.CloseAndReceive(); err != nil {
		return fmt.Errorf("hand the files over: %w", err)
	}
	if refused != nil { // the guest claims to have all, and did not take it
		return fmt.Errorf("hand the files over: %w", refused)
	}
	return nil
}
