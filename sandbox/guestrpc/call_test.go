package guestrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// guest is a guest that does what a test says, good or evil.
type guest struct {
	sandgatev1connect.UnimplementedFileServiceHandler
	stat  func(context.Context, *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error)
	watch error
}

func (g *guest) Stat(ctx context.Context, req *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	return g.stat(ctx, req)
}

func (g *guest) Watch(context.Context, *sandgatev1.WatchRequest, *connect.ServerStream[sandgatev1.WatchResponse]) error {
	return g.watch
}

// boxWith puts a guest into a box.
func boxWith(t *testing.T, g *guest) *sandboxtest.Box {
	t.Helper()
	_, handler := sandgatev1connect.NewFileServiceHandler(g)
	return sandboxtest.Serve(t, handler)
}

func TestUnaryAsksTheGuest(t *testing.T) {
	b := boxWith(t, &guest{stat: func(_ context.Context, req *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
		return &sandgatev1.StatResponse{File: &sandgatev1.FileInfo{Path: req.GetSessionId() + req.GetPath()}}, nil
	}})
	if res, err := stat(t.Context(), b); err != nil || res.GetFile().GetPath() != "f" {
		t.Errorf("reply %v, error %v", res, err)
	}
	_, err := guestrpc.Unary(t.Context(), b, &sandgatev1.StatRequest{SessionId: "other"}, client().Stat, tooLarge)
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("error %v", err)
	}
}

func TestCallsEnd(t *testing.T) {
	lost := func(why string) string { return "failed_precondition: the session is lost: " + why }
	for _, test := range []struct {
		name   string
		do     func(b *sandboxtest.Box, leave func()) *sandgatev1.StatResponse
		text   string
		reason string
		wraps  error
	}{
		{"lost", func(b *sandboxtest.Box, _ func()) *sandgatev1.StatResponse {
			b.Die(fmt.Errorf("secret of the engine: %w", sandbox.ErrLost))
			return nil
		}, lost("its sandbox died"), "SESSION_LOST", guestrpc.ErrSessionLost},
		{"out of memory", func(b *sandboxtest.Box, _ func()) *sandgatev1.StatResponse {
			b.Die(errors.Join(sandbox.ErrLost, sandbox.ErrMemory))
			return nil
		}, lost("its sandbox ran out of memory"), "SESSION_LOST", guestrpc.ErrSessionLost},
		{"closed", func(b *sandboxtest.Box, _ func()) *sandgatev1.StatResponse {
			b.Die(sandbox.ErrClosed)
			return nil
		}, lost("it was ended"), "SESSION_LOST", guestrpc.ErrSessionLost},
		{"silent", func(*sandboxtest.Box, func()) *sandgatev1.StatResponse {
			return nil
		}, "deadline_exceeded: the sandbox did not answer within 1m0s", "SANDBOX_SILENT", guestrpc.ErrOverdue},
		{"left", func(_ *sandboxtest.Box, leave func()) *sandgatev1.StatResponse {
			leave()
			return nil
		}, "canceled: context canceled", "", context.Canceled},
		{"too large", func(*sandboxtest.Box, func()) *sandgatev1.StatResponse {
			return &sandgatev1.StatResponse{File: &sandgatev1.FileInfo{Path: strings.Repeat("p", maxMessageBytes)}}
		}, "resource_exhausted: the answer of the sandbox was stopped: ", "REPLY_TOO_LARGE", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				var b *sandboxtest.Box
				b = boxWith(t, &guest{stat: func(ctx context.Context, _ *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
					if res := test.do(b, leave); res != nil {
						return res, nil
					}
					<-ctx.Done()
					return nil, ctx.Err()
				}})
				_, err := stat(ctx, b)
				if err == nil || !strings.HasPrefix(err.Error(), test.text) || (test.wraps != nil && !errors.Is(err, test.wraps)) {
					t.Fatalf("error %v, want %s", err, test.text)
				}
				sandboxtest.WantError(t, err, connect.CodeOf(err), test.reason)
			})
		})
	}
}

func TestCallersDeadlineIsTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := stat(ctx, boxWith(t, &guest{stat: func(ctx context.Context, _ *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}))
		sandboxtest.WantError(t, err, connect.CodeDeadlineExceeded, "CALLER_DEADLINE")
	})
}

func TestBrokenStreamsWaitForTheNews(t *testing.T) {
	abort := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, test := range []struct {
		after  time.Duration
		code   connect.Code
		reason string
	}{
		{time.Second, connect.CodeFailedPrecondition, "SESSION_LOST"},
		{time.Minute, connect.CodeInternal, "SANDBOX_MISBEHAVED"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := sandboxtest.Serve(t, abort)
				defer time.AfterFunc(test.after, func() { b.Die(sandbox.ErrLost) }).Stop()
				_, err := stat(t.Context(), b)
				sandboxtest.WantError(t, err, test.code, test.reason)
			})
		})
	}
}

func TestTheClockRunsOnlyWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		callCtx, c := guestrpc.Begin(t.Context(), boxWith(t, &guest{}), tooLarge)
		defer c.End()
		<-time.After(time.Hour)
		if err := c.Waiting(func() error { <-time.After(59 * time.Second); return callCtx.Err() }); err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour)
		if callCtx.Err() != nil {
			t.Error(context.Cause(callCtx))
		}
		if err := c.Waiting(func() error { <-callCtx.Done(); return context.Cause(callCtx) }); !errors.Is(err, guestrpc.ErrOverdue) {
			t.Error(err)
		}
	})
}

func TestErrorsOfTheGuestAreCleaned(t *testing.T) {
	withDetail := func(code connect.Code, reason string) error {
		err := connect.NewError(code, errors.New(strings.Repeat("é", 1<<16)))
		for _, message := range []*sandgatev1.ErrorDetail{{Reason: reason, Hint: "do this"}, {Reason: "SECOND"}} {
			detail, _ := connect.NewErrorDetail(message)
			err.AddDetail(detail)
		}
		strange, _ := connect.NewErrorDetail(durationpb.New(time.Second))
		err.AddDetail(strange)
		err.Meta().Set("X-Evil", "1")
		return err
	}
	for _, test := range []struct {
		err    error
		code   connect.Code
		reason string
	}{
		{withDetail(connect.CodeNotFound, "CONTEXT_NOT_FOUND"), connect.CodeNotFound, "CONTEXT_NOT_FOUND"},
		{withDetail(connect.CodeNotFound, "SESSION_NOT_FOUND"), connect.CodeNotFound, "SANDBOX_ERROR"},
		{withDetail(connect.CodeUnauthenticated, "lower\ncase"), connect.CodeInternal, "SANDBOX_ERROR"},
		{withDetail(connect.CodeUnavailable, "BUSY"), connect.CodeInternal, "BUSY"},
		{errors.New("plain"), connect.CodeInternal, "SANDBOX_ERROR"},
	} {
		t.Run(test.reason+test.code.String(), func(t *testing.T) {
			b := boxWith(t, &guest{watch: test.err, stat: func(context.Context, *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
				return nil, test.err
			}})
			_, unaryErr := stat(t.Context(), b)
			for _, err := range []error{watch(t, b), unaryErr} {
				sandboxtest.WantError(t, err, test.code, test.reason)
				var rpcErr *connect.Error
				if !errors.As(err, &rpcErr) || len(rpcErr.Meta()) != 0 || len(rpcErr.Message()) > 4<<10 {
					t.Errorf("metadata or message came through: %d bytes", len(rpcErr.Message()))
				}
			}
		})
	}
}

// watch returns the error of a stream that fails.
func watch(t *testing.T, b *sandboxtest.Box) error {
	t.Helper()
	callCtx, c := guestrpc.Begin(t.Context(), b, tooLarge)
	defer c.End()
	stream, err := client().Watch(callCtx, &sandgatev1.WatchRequest{})
	if err != nil || stream.Receive() {
		t.Fatalf("the stream goes on, error %v", err)
	}
	defer func() { _ = stream.Close() }()
	return c.Why(t.Context(), callCtx, stream.Err())
}
