package pyrunner_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/pyrunner"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func started(id string) *sandgatev1.ProcessEvent {
	return &sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Started{Started: &sandgatev1.ProcessStarted{ProcessId: id, Pid: 7}}}
}

func processOutput(text string) *sandgatev1.ProcessEvent {
	return &sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Stdout{Stdout: &sandgatev1.Output{Data: []byte(text)}}}
}

// shell makes one call and returns its last event's result.
func shell(ctx context.Context, b *sandboxtest.Box, req *sandgatev1.ShellRequest) (*sandgatev1.ProcessResult, error) {
	var last *sandgatev1.ProcessResult
	req.SessionId = "s"
	err := pyrunner.NewProcess(b).Shell(ctx, req, func(event *sandgatev1.ShellResponse) error {
		last = event.GetResult()
		return nil
	})
	return last, err
}

func TestShellPassesItsResult(t *testing.T) {
	b := boxWith(t, &guest{shell: func(_ context.Context, req *sandgatev1.ShellRequest, send func(*sandgatev1.ShellResponse) error) error {
		if req.GetSessionId() != "" || req.GetCommand() != "false" {
			return errors.New("wrong request")
		}
		return errors.Join(
			send(&sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Stderr{Stderr: &sandgatev1.Output{Data: []byte("no")}}}),
			send(&sandgatev1.ShellResponse{Event: &sandgatev1.ShellResponse_Result{
				Result: &sandgatev1.ProcessResult{Status: sandgatev1.Status_STATUS_ERROR, ExitCode: 1},
			}}),
		)
	}})
	r, err := shell(t.Context(), b, &sandgatev1.ShellRequest{Command: "false"})
	if err != nil || r.GetStatus() != sandgatev1.Status_STATUS_ERROR || r.GetExitCode() != 1 {
		t.Fatalf("result %v, error %v", r, err)
	}
	if r.GetReceipt().GetBytesIn() != 5 || r.GetStderr().GetTotalBytes() != 2 {
		t.Errorf("receipt %v, stderr %v", r.GetReceipt(), r.GetStderr())
	}
}

func TestShellEndsASandboxThatDoesNotObey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := boxWith(t, &guest{shell: func(ctx context.Context, _ *sandgatev1.ShellRequest, _ func(*sandgatev1.ShellResponse) error) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		r, err := shell(t.Context(), b, &sandgatev1.ShellRequest{Command: "x"})
		if err != nil || r.GetStatus() != sandgatev1.Status_STATUS_TIMEOUT || b.Closes != 1 {
			t.Fatalf("result %v, error %v, closed %d times", r, err, b.Closes)
		}
		if wall := r.GetReceipt().GetWall().AsDuration(); wall != 90*time.Second {
			t.Errorf("given up after %v", wall)
		}
	})
}

func TestShellEndsWithItsSandbox(t *testing.T) {
	var b *sandboxtest.Box
	b = boxWith(t, &guest{shell: func(ctx context.Context, _ *sandgatev1.ShellRequest, _ func(*sandgatev1.ShellResponse) error) error {
		b.Die(sandbox.ErrLost)
		<-ctx.Done()
		return ctx.Err()
	}})
	r, err := shell(t.Context(), b, &sandgatev1.ShellRequest{Command: "x"})
	if err != nil || r.GetStatus() != sandgatev1.Status_STATUS_KILLED || r.GetExitCode() != 137 {
		t.Errorf("result %v, error %v", r, err)
	}
}

func TestStartFollowsAProgram(t *testing.T) {
	var b *sandboxtest.Box
	for _, test := range []struct {
		name   string
		events func(context.Context, func(*sandgatev1.ProcessEvent) error) error
		seen   int
		status sandgatev1.Status
		code   connect.Code
	}{
		{"to its end", func(_ context.Context, send func(*sandgatev1.ProcessEvent) error) error {
			end := &sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Ended{Ended: &sandgatev1.ProcessResult{
				Status: sandgatev1.Status_STATUS_OK, Receipt: &sandgatev1.Receipt{Wall: durationpb.New(time.Hour)},
			}}}
			return errors.Join(send(started("p")), send(nil), send(processOutput("a")), send(end))
		}, 3, sandgatev1.Status_STATUS_OK, 0},
		{"to the death of its sandbox", func(ctx context.Context, send func(*sandgatev1.ProcessEvent) error) error {
			err := send(started("p"))
			for range 1000 {
				err = errors.Join(err, send(processOutput("a")))
			}
			b.Die(sandbox.ErrLost)
			<-ctx.Done()
			return err
		}, 2, sandgatev1.Status_STATUS_KILLED, 0},
		{"that never began", func(ctx context.Context, _ func(*sandgatev1.ProcessEvent) error) error {
			b.Die(sandbox.ErrLost)
			<-ctx.Done()
			return ctx.Err()
		}, 0, 0, connect.CodeFailedPrecondition},
	} {
		t.Run(test.name, func(t *testing.T) {
			b = boxWith(t, &guest{events: test.events})
			var seen []*sandgatev1.ProcessEvent
			err := pyrunner.NewProcess(b).Start(t.Context(), &sandgatev1.StartRequest{SessionId: "s", Command: "x"},
				func(res *sandgatev1.StartResponse) error {
					seen = append(seen, res.GetEvent())
					return nil
				})
			if (err != nil || test.code != 0) && connect.CodeOf(err) != test.code {
				t.Fatalf("error %v, want code %v", err, test.code)
			}
			if len(seen) < test.seen {
				t.Fatalf("%d events, want %d or more", len(seen), test.seen)
			}
			if test.seen > 0 && seen[len(seen)-1].GetEnded().GetStatus() != test.status {
				t.Errorf("last event %v", seen[len(seen)-1])
			}
		})
	}
}

func TestConnectIsLeftByItsCaller(t *testing.T) {
	left := make(chan struct{})
	b := boxWith(t, &guest{events: func(ctx context.Context, send func(*sandgatev1.ProcessEvent) error) error {
		defer close(left)
		err := send(started("p"))
		<-ctx.Done()
		return err
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := pyrunner.NewProcess(b).Connect(ctx, &sandgatev1.ConnectRequest{SessionId: "s", ProcessId: "p"},
		func(*sandgatev1.ConnectResponse) error { cancel(); return nil })
	if connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("error %v", err)
	}
	<-left
}

func TestStartDoesNotWaitForeverForItsFirstEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := boxWith(t, &guest{events: func(ctx context.Context, _ func(*sandgatev1.ProcessEvent) error) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		err := pyrunner.NewProcess(b).Start(t.Context(), &sandgatev1.StartRequest{SessionId: "s"}, func(*sandgatev1.StartResponse) error { return nil })
		sandboxtest.WantError(t, err, connect.CodeDeadlineExceeded, "SANDBOX_SILENT")
		if b.Closes != 0 {
			t.Error("the sandbox was closed")
		}
	})
}

func TestListProcessesMendsLies(t *testing.T) {
	b := boxWith(t, &guest{list: func(context.Context) (*sandgatev1.ListProcessesResponse, error) {
		return &sandgatev1.ListProcessesResponse{Processes: []*sandgatev1.Process{{
			Pid: -1, ProcessId: strings.Repeat("p", 1<<16), StartedAt: &timestamppb.Timestamp{Seconds: -1 << 60},
			Result: &sandgatev1.ProcessResult{Status: 77},
		}}}, nil
	}})
	res, err := pyrunner.NewProcess(b).ListProcesses(t.Context(), &sandgatev1.ListProcessesRequest{SessionId: "s"})
	if err != nil || len(res.GetProcesses()) != 1 {
		t.Fatalf("reply %v, error %v", res, err)
	}
	p := res.GetProcesses()[0]
	if p.GetPid() != 0 || len(p.GetProcessId()) > 1<<10 || p.StartedAt != nil || p.GetResult().GetStatus() != sandgatev1.Status_STATUS_ERROR {
		t.Errorf("process %v", p)
	}
}
