package sandboxtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// Box is a sandbox around any handler, joined to it by pipes in memory, so that a test can play a
// guest that is good or evil. When it dies its transport goes on, which no call may rely on.
type Box struct {
	// Closes counts the calls of Close.
	Closes int

	transport *http.Transport
	done      chan struct{}
	once      sync.Once
	err       error // set before done is closed
}

// Serve puts a handler into a Box until the end of the test.
func Serve(tb testing.TB, handler http.Handler) *Box {
	tb.Helper()
	listener := &pipes{conns: make(chan net.Conn), stop: make(chan struct{})}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: &protocols}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	b := &Box{
		transport: &http.Transport{DialContext: listener.dial, Protocols: &protocols},
		done:      make(chan struct{}),
	}
	tb.Cleanup(func() {
		b.transport.CloseIdleConnections()
		_ = server.Close()
		_ = listener.Close()
		<-served
	})
	return b
}

// ID is the same for all.
func (b *Box) ID() string { return "box" }

// Spec is the one of a common sandbox.
func (b *Box) Spec() sandbox.Spec {
	return sandbox.Spec{Template: "python", Runtime: "runc", Limits: sandbox.DefaultLimits()}
}

// Transport leads to the handler.
func (b *Box) Transport() http.RoundTripper { return b.transport }

// Done is closed when the box died.
func (b *Box) Done() <-chan struct{} { return b.done }

// Err returns why the box died, nil before.
func (b *Box) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

// Close ends the box as its owner does.
func (b *Box) Close(context.Context) error {
	b.Closes++
	b.Die(sandbox.ErrClosed)
	return nil
}

// Die ends the box for a reason.
func (b *Box) Die(reason error) {
	b.once.Do(func() {
		b.err = reason
		close(b.done)
		b.transport.CloseIdleConnections()
	})
}

// Sandbox makes a box its own source: it is the one of the session "s".
func (b *Box) Sandbox(_ context.Context, sessionID string) (sandbox.Sandbox, error) {
	if sessionID != "s" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such session"))
	}
	return b, nil
}

// WantError checks the code of an error, and the reason in its one detail.
func WantError(tb testing.TB, err error, code connect.Code, reason string) {
	tb.Helper()
	if connect.CodeOf(err) != code {
		tb.Fatalf("error %v, want code %v", err, code)
	}
	if got := detailOf(err).GetReason(); got != reason {
		tb.Errorf("reason %q of %v, want %q", got, err, reason)
	}
}

// detailOf returns the one detail of an error, nil if there is none.
func detailOf(err error) *sandgatev1.ErrorDetail {
	var rpcErr *connect.Error
	if !errors.As(err, &rpcErr) || len(rpcErr.Details()) != 1 {
		return nil
	}
	value, valueErr := rpcErr.Details()[0].Value()
	if valueErr != nil {
		return nil
	}
	detail, _ := value.(*sandgatev1.ErrorDetail)
	return detail
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns chan net.Conn
	stop  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.stop:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.stop) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.stop:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
