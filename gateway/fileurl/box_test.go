package fileurl_test

import (
	"context"
	"net/http"
	"sync"

	"github.com/sandgate/sandgate/sandbox"
)

// box is a sandbox with nothing in it.
type box struct {
	spec sandbox.Spec
	done chan struct{}
	once sync.Once
}

func newBox(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	return &box{spec: spec, done: make(chan struct{})}, nil
}

func (b *box) ID() string                   { return "box" }
func (b *box) Spec() sandbox.Spec           { return b.spec }
func (b *box) Transport() http.RoundTripper { return http.DefaultTransport }
func (b *box) Done() <-chan struct{}        { return b.done }

func (b *box) Close(context.Context) error {
	b.once.Do(func() { close(b.done) })
	return nil
}

func (b *box) Err() error {
	select {
	case <-b.done:
		return sandbox.ErrClosed
	default:
		return nil
	}
}
