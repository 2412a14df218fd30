package fileserver_test

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	goleak.VerifyTestMain(m)
}

// updating reports whether the golden files should be rewritten.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// box is a sandbox around a guest, joined to it by pipes in memory.
type box struct {
	transport *http.Transport
	done      chan struct{}
	once      sync.Once
	err       error
	closes    int
}

func (b *box) ID() string                   { return "box" }
func (b *box) Transport() http.RoundTripper { return b.transport }
func (b *box) Done() <-chan struct{}        { return b.done }
func (b *box) Spec() sandbox.Spec {
	return sandbox.Spec{Template: "python", Runtime: "runc", Limits: sandbox.DefaultLimits()}
}

func (b *box) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

func (b *box) Close(context.Context) error {
	b.closes++
	b.die(sandbox.ErrClosed)
	return nil
}

// die ends the sandbox for a reason.
func (b *box) die(reason error) {
	b.once.Do(func() {
		b.err = reason
		close(b.done)
		b.transport.CloseIdleConnections()
	})
}

// Sandbox makes a box its own source.
func (b *box) Sandbox(_ context.Context, sessionID string) (sandbox.Sandbox, error) {
	if sessionID != "s" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such session"))
	}
	return b, nil
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

// serve puts a handler into a box.
func serve(tb testing.TB, handler http.Handler) *box {
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
	b := &box{
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

// wantError checks the code and reason of an error.
func wantError(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	if connect.CodeOf(err) != code {
		t.Fatalf("error %v, want code %v", err, code)
	}
	if got := detailOf(err).GetReason(); got != reason {
		t.Errorf("reason %q of %v, want %q", got, err, reason)
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
