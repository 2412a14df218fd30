package guestrpc_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// keeper is a guest that keeps nothing, and answers what it is asked about durable requests as a test
// says. It notes what it was asked.
type keeper struct {
	sandgatev1connect.UnimplementedFileServiceHandler

	known  bool
	missed string
	hang   bool // Watch does not end

	mu    sync.Mutex
	asked []string // guarded by mu
}

func (k *keeper) Stat(context.Context, *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	return &sandgatev1.StatResponse{File: &sandgatev1.FileInfo{Path: "f"}}, nil
}

func (k *keeper) Watch(ctx context.Context, _ *sandgatev1.WatchRequest, stream *connect.ServerStream[sandgatev1.WatchResponse]) error {
	err := stream.Send(&sandgatev1.WatchResponse{Event: &sandgatev1.WatchResponse_Ready{Ready: &sandgatev1.WatchReady{}}})
	if k.hang {
		<-ctx.Done()
	}
	return err
}

// box serves the keeper.
func (k *keeper) box(t *testing.T) *sandboxtest.Box {
	t.Helper()
	path, handler := sandgatev1connect.NewFileServiceHandler(k)
	return sandboxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := r.Method + " " + r.Header.Get(sandbox.CallHeader)
		k.mu.Lock()
		k.asked = append(k.asked, what)
		k.mu.Unlock()
		switch {
		case r.URL.Path != sandbox.CallPath:
			handler.ServeHTTP(w, r)
		case !k.known:
			http.NotFound(w, r)
		case r.Method == http.MethodGet: // as if Stat had been asked for
			if k.missed != "" {
				w.Header().Set(sandbox.MissedHeader, k.missed)
			}
			again := r.Clone(r.Context())
			again.Method, again.URL.Path = http.MethodPost, path+"Stat"
			again.Header.Set("Content-Type", "application/proto")
			handler.ServeHTTP(w, again)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
}

func (k *keeper) wants(t *testing.T, asked ...string) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Equal(k.asked, asked) {
		t.Errorf("the guest was asked %q, want %q", k.asked, asked)
	}
}

func TestDurableRequestsAreNamed(t *testing.T) {
	k := &keeper{known: true}
	b, call := k.box(t), sandbox.NewDurable("c")
	ctx := sandbox.WithDurable(t.Context(), call)
	for range 2 {
		if res, err := stat(ctx, b); err != nil || res.GetFile().GetPath() != "f" {
			t.Errorf("%v, %v", res, err)
		}
	}
	k.wants(t, "POST c-1", "POST c-2") // what it keeps it keeps until the call is written down
	call.Settle(t.Context())
	call.Settle(t.Context())
	k.wants(t, "POST c-1", "POST c-2", "DELETE c-1", "DELETE c-2")
	if call.Lost() {
		t.Error("it is lost")
	}
	if _, err := stat(t.Context(), b); err != nil {
		t.Error(err)
	}
	k.wants(t, "POST c-1", "POST c-2", "DELETE c-1", "DELETE c-2", "POST ")
}

// TestDurableRequestsAreEnded: who leaves an answer says so, as the guest cannot see it.
func TestDurableRequestsAreEnded(t *testing.T) {
	for _, test := range []struct {
		name    string
		hang    bool
		receive int
		asked   []string
	}{
		{"left after the last message", false, 2, []string{"POST c-1"}},
		{"left before", true, 1, []string{"POST c-1", "DELETE c-1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &keeper{known: true, hang: test.hang}
			b, call := k.box(t), sandbox.NewDurable("c")
			ctx, leave := context.WithCancel(sandbox.WithDurable(t.Context(), call))
			defer leave()
			callCtx, c := guestrpc.Begin(ctx, b, tooLarge)
			defer c.End()
			stream, err := client().Watch(callCtx, &sandgatev1.WatchRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for range test.receive {
				stream.Receive()
			}
			leave()
			_ = stream.Close()
			k.wants(t, test.asked...)
		})
	}
	t.Run("left before an answer", func(t *testing.T) {
		k := &keeper{known: true}
		ctx, leave := context.WithCancel(sandbox.WithDurable(t.Context(), sandbox.NewDurable("c")))
		leave()
		_, err := client().Stat(guestrpc.WithSandbox(ctx, k.box(t)), &sandgatev1.StatRequest{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		k.wants(t, "DELETE c-1")
	})
}

func TestDurableRequestsAreTakenUp(t *testing.T) {
	k := &keeper{known: true, missed: "7"}
	call := sandbox.ResumeDurable("c", time.Now())
	if !call.Lost() {
		t.Error("it is known before anybody was asked")
	}
	b := k.box(t)
	res, err := stat(sandbox.WithDurable(t.Context(), call), b)
	if err != nil || res.GetFile().GetPath() != "f" || call.Lost() || call.Missed() != 7 {
		t.Errorf("%v, %v, lost %v, missed %d", res, err, call.Lost(), call.Missed())
	}
	k.wants(t, "HEAD c-1", "GET c-1") // and the request itself is not there
	call.Settle(t.Context())
	k.wants(t, "HEAD c-1", "GET c-1", "DELETE c-1")
}

func TestWhatTheGuestDoesNotKnowIsLost(t *testing.T) {
	k := &keeper{}
	call := sandbox.ResumeDurable("c", time.Now().Add(time.Hour))
	_, err := client().Stat(guestrpc.WithSandbox(sandbox.WithDurable(t.Context(), call), k.box(t)), &sandgatev1.StatRequest{})
	if err == nil || !call.Lost() {
		t.Errorf("%v, lost %v", err, call.Lost())
	}
	k.wants(t, "HEAD c-1")
	if call.Began().After(time.Now()) {
		t.Error("it began in the future")
	}
	late := sandbox.ResumeDurable("c", time.Now())
	late.Found(true)
	late.Found(false)
	if !late.Lost() {
		t.Error("a call is known of which one request is not")
	}
}
