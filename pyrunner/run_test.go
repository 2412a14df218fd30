package pyrunner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/pyrunner"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestRunPassesEventsAndResult(t *testing.T) {
	var got *sandgatev1.RunRequest
	b := boxWith(t, &guest{run: func(_ context.Context, req *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
		got = req
		return errors.Join(send(stdout("2\n", 0)), send(result(&sandgatev1.RunResult{
			Status: sandgatev1.Status_STATUS_OK, ExecutionCount: 1, Stdout: &sandgatev1.StreamSummary{TotalBytes: 2},
		})))
	}})
	events, err := run(t.Context(), pyrunner.NewPython(b), &sandgatev1.RunRequest{
		Code: "print(1+1)", ContextId: "c", Env: map[string]string{"A": "bc"}, Timeout: durationpb.New(time.Second),
	})
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, error %v", len(events), err)
	}
	if got.GetSessionId() != "" || got.GetCode() != "print(1+1)" || got.GetContextId() != "c" || got.GetEnv()["A"] != "bc" {
		t.Errorf("the guest was asked %v", got)
	}
	receipt := events[1].GetResult().GetReceipt()
	if receipt.GetBytesIn() != 13 || receipt.GetBytesOut() != 2 || receipt.GetWall() == nil {
		t.Errorf("receipt %v", receipt)
	}
}

func TestRunMendsLies(t *testing.T) {
	deep := structpb.NewNumberValue(math.NaN())
	for range 200 {
		deep = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{deep}})
	}
	b := boxWith(t, &guest{run: func(_ context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
		return errors.Join(
			send(stdout("abc", -7)),
			send(stdout("def", math.MaxInt64)),
			send(&sandgatev1.RunResponse{}),
			send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Display{Display: &sandgatev1.Display{
				Json: deep,
				Table: &sandgatev1.Table{
					TotalRows: -1, Index: []*structpb.Value{{}, structpb.NewNumberValue(math.Inf(-1))},
					Rows: []*structpb.ListValue{{Values: []*structpb.Value{structpb.NewNumberValue(math.NaN())}}},
				},
			}}}),
			send(result(&sandgatev1.RunResult{
				Status: 99, ExecutionCount: -1, DroppedDisplays: -1, LateOutput: make([]byte, 1<<20), Note: strings.Repeat("ä", 1<<16),
				Stdout: &sandgatev1.StreamSummary{TotalBytes: -5, DroppedBytes: 1 << 40, FileBytes: -1, File: strings.Repeat("x", 1<<16)},
				Error:  &sandgatev1.PythonError{Name: strings.Repeat("E", 1<<20), Traceback: strings.Repeat("t", 1<<20)},
				Receipt: &sandgatev1.Receipt{
					Wall: durationpb.New(time.Hour), Cpu: &durationpb.Duration{Seconds: math.MaxInt64},
					PeakMemoryBytes: math.MaxInt64, BytesIn: -1, BytesOut: -1,
				},
			})),
		)
	}})
	events, err := run(t.Context(), pyrunner.NewPython(b), &sandgatev1.RunRequest{Code: "1"})
	if err != nil || len(events) != 4 {
		t.Fatalf("%d events, error %v", len(events), err)
	}
	if first, second := events[0].GetStdout().GetOffset(), events[1].GetStdout().GetOffset(); first != 0 || second != 3 {
		t.Errorf("offsets %d, %d", first, second)
	}
	for _, event := range events {
		if _, err := protojson.Marshal(event); err != nil {
			t.Errorf("an event cannot be JSON: %v", err)
		}
	}
	r := events[3].GetResult()
	if r.GetStatus() != sandgatev1.Status_STATUS_ERROR || r.GetExecutionCount() != 0 || r.GetDroppedDisplays() != 0 {
		t.Errorf("result %v %d %d", r.GetStatus(), r.GetExecutionCount(), r.GetDroppedDisplays())
	}
	if len(r.GetLateOutput()) > 16<<10 || len(r.GetNote()) > 4<<10 || len(r.GetError().GetTraceback()) > 64<<10 || len(r.GetError().GetName()) > 1<<10 {
		t.Error("a field of the result is too long")
	}
	if s := r.GetStdout(); s.GetTotalBytes() != 6 || s.GetDroppedBytes() != 6 || s.GetFileBytes() != 0 || len(s.GetFile()) > 4<<10 {
		t.Errorf("summary %d %d %d", s.GetTotalBytes(), s.GetDroppedBytes(), s.GetFileBytes())
	}
	c := r.GetReceipt()
	if c.GetWall().AsDuration() >= time.Hour || c.GetCpu() != nil || c.GetPeakMemoryBytes() > sandbox.GiB || c.GetBytesIn() != 1 || c.GetBytesOut() < 6 {
		t.Errorf("receipt %v", c)
	}
}

// endless sends the same event until nobody takes it any more.
func endless(event *sandgatev1.RunResponse) func(context.Context, *sandgatev1.RunRequest, func(*sandgatev1.RunResponse) error) error {
	return func(_ context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
		for {
			if err := send(event); err != nil {
				return err
			}
		}
	}
}

func TestRunStopsAnswersBeyondBounds(t *testing.T) {
	for name, event := range map[string]*sandgatev1.RunResponse{
		"endless small events": stdout("x", 0),
		"endless empty events": {},
		"endless output":       stdout(strings.Repeat("x", 1<<20), 0),
		"endless displays": {Event: &sandgatev1.RunResponse_Display{
			Display: &sandgatev1.Display{Png: make([]byte, 8<<20)},
		}},
		"one huge message": {Event: &sandgatev1.RunResponse_Display{Display: &sandgatev1.Display{Png: make([]byte, 24<<20)}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := boxWith(t, &guest{run: endless(event)})
			bytes := 0
			err := pyrunner.NewPython(b).Run(t.Context(), &sandgatev1.RunRequest{SessionId: "s"}, func(event *sandgatev1.RunResponse) error {
				bytes += len(event.GetStdout().GetData()) + len(event.GetDisplay().GetPng())
				return nil
			})
			sandboxtest.WantError(t, err, connect.CodeResourceExhausted, "REPLY_TOO_LARGE")
			if bytes > 66<<20 {
				t.Errorf("%d bytes were passed on", bytes)
			}
		})
	}
}

func TestRunEndsWithItsSandbox(t *testing.T) {
	for _, test := range []struct {
		name   string
		reason error
		status sandgatev1.Status
	}{
		{"lost", fmt.Errorf("engine gone: %w", sandbox.ErrLost), sandgatev1.Status_STATUS_KILLED},
		{"memory", fmt.Errorf("%w: %w", sandbox.ErrLost, sandbox.ErrMemory), sandgatev1.Status_STATUS_MEMORY},
		{"closed", sandbox.ErrClosed, sandgatev1.Status_STATUS_KILLED},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b *sandboxtest.Box
			b = boxWith(t, &guest{run: func(ctx context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
				if err := send(stdout("so far", 0)); err != nil {
					return err
				}
				b.Die(test.reason)
				<-ctx.Done()
				return ctx.Err()
			}})
			p := pyrunner.NewPython(b)
			events, err := run(t.Context(), p, &sandgatev1.RunRequest{Code: "1"})
			if err != nil || len(events) == 0 {
				t.Fatalf("%d events, error %v", len(events), err)
			}
			r := events[len(events)-1].GetResult()
			if r.GetStatus() != test.status || !r.GetStateLost() || !strings.Contains(r.GetNote(), "Create a new session") {
				t.Errorf("result %v", r)
			}
			if strings.Contains(r.GetNote(), "engine gone") {
				t.Errorf("the note tells what the engine said: %q", r.GetNote())
			}
			_, err = run(t.Context(), p, &sandgatev1.RunRequest{Code: "1"})
			sandboxtest.WantError(t, err, connect.CodeFailedPrecondition, "SESSION_LOST")
			_, err = p.RestartContext(t.Context(), &sandgatev1.RestartContextRequest{SessionId: "s"})
			sandboxtest.WantError(t, err, connect.CodeFailedPrecondition, "SESSION_LOST")
		})
	}
}

func TestRunStopsWhenTheCallerLeaves(t *testing.T) {
	stopped := make(chan struct{})
	b := boxWith(t, &guest{run: func(ctx context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
		defer close(stopped)
		err := send(stdout("x", 0))
		<-ctx.Done()
		return err
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := pyrunner.NewPython(b).Run(ctx, &sandgatev1.RunRequest{SessionId: "s"}, func(*sandgatev1.RunResponse) error {
		cancel()
		return nil
	})
	if connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("error %v", err)
	}
	<-stopped
}

func TestRunReturnsTheErrorOfSend(t *testing.T) {
	b := boxWith(t, &guest{run: endless(stdout("x", 0))})
	broken := errors.New("broken")
	err := pyrunner.NewPython(b).Run(t.Context(), &sandgatev1.RunRequest{SessionId: "s"}, func(*sandgatev1.RunResponse) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestRunEndsASandboxThatDoesNotObey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := boxWith(t, &guest{run: func(ctx context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
			err := send(stdout("x", 0))
			<-ctx.Done()
			return err
		}})
		events, err := run(t.Context(), pyrunner.NewPython(b), &sandgatev1.RunRequest{Timeout: durationpb.New(time.Minute)})
		if err != nil || len(events) != 2 {
			t.Fatalf("%d events, error %v", len(events), err)
		}
		r := events[1].GetResult()
		if r.GetStatus() != sandgatev1.Status_STATUS_TIMEOUT || !r.GetStateLost() || b.Closes != 1 {
			t.Errorf("result %v, closed %d times", r, b.Closes)
		}
		if wall := r.GetReceipt().GetWall().AsDuration(); wall != 90*time.Second {
			t.Errorf("given up after %v", wall)
		}
	})
}

func TestRunWaitsForCallsBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := make(chan struct{}, 1)
		b := boxWith(t, &guest{run: func(_ context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
			turn <- struct{}{}
			<-time.After(59 * time.Second)
			<-turn
			return send(result(&sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_OK}))
		}})
		p := pyrunner.NewPython(b)
		errs := make(chan error)
		for range 4 {
			go func() {
				events, err := run(t.Context(), p, &sandgatev1.RunRequest{Timeout: durationpb.New(time.Minute)})
				if err == nil && events[0].GetResult().GetStatus() != sandgatev1.Status_STATUS_OK {
					err = errors.New(events[0].GetResult().GetNote())
				}
				errs <- err
			}()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRunForgivesASlowCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := boxWith(t, &guest{run: func(_ context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
			return errors.Join(send(stdout("x", 0)), send(stdout("y", 1)), send(result(&sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_OK})))
		}})
		req := &sandgatev1.RunRequest{SessionId: "s", Timeout: durationpb.New(time.Second)}
		err := pyrunner.NewPython(b).Run(t.Context(), req, func(*sandgatev1.RunResponse) error {
			<-time.After(time.Hour)
			return nil
		})
		if err != nil || b.Closes != 0 {
			t.Errorf("error %v, closed %d times", err, b.Closes)
		}
	})
}

func TestRunDoesNotWaitForTrailers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := boxWith(t, &guest{run: func(ctx context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
			err := send(result(&sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_OK}))
			<-ctx.Done()
			return err
		}})
		if _, err := run(t.Context(), pyrunner.NewPython(b), &sandgatev1.RunRequest{}); err != nil {
			t.Error(err)
		}
	})
}

func TestRunRefusesBrokenAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"not connect": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"no result": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/connect+proto")
			_, _ = w.Write([]byte("\x02\x00\x00\x00\x02{}"))
		},
		"not UTF-8": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/connect+proto")
			// A display (field 3) whose text (field 2) is one byte that is no UTF-8.
			_, _ = w.Write([]byte("\x00\x00\x00\x00\x05\x1a\x03\x12\x01\xff\x02\x00\x00\x00\x02{}"))
		},
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/connect+proto")
			w.Header().Set("Connect-Content-Encoding", "gzip")
			_, _ = w.Write([]byte("\x01\x00\x00\x00\x02xx"))
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere/", http.StatusFound)
		},
		"abort": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := sandboxtest.Serve(t, answer)
				events, err := run(t.Context(), pyrunner.NewPython(b), &sandgatev1.RunRequest{})
				sandboxtest.WantError(t, err, connect.CodeInternal, "SANDBOX_MISBEHAVED")
				if len(events) != 0 {
					t.Errorf("events %v", events)
				}
			})
		})
	}
}
