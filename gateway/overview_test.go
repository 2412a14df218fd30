package gateway

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// watching is somebody who watches a gateway.
type watching struct {
	t      *testing.T
	stream *connect.ServerStreamForClient[sandgatev1.WatchOverviewResponse]
}

func watchOverview(t *testing.T, g *rig, req *sandgatev1.WatchOverviewRequest) *watching {
	t.Helper()
	req.Interval = durationpb.New(200 * time.Millisecond)
	stream, err := sandgatev1connect.NewOperatorServiceClient(g.client, g.url).WatchOverview(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	return &watching{t, stream}
}

func (w *watching) next() *sandgatev1.Overview {
	w.t.Helper()
	if !w.stream.Receive() {
		w.t.Fatal(w.stream.Err())
	}
	return w.stream.Msg().GetOverview()
}

// calls returns how many calls ended, and how many failed, in the windows of overviews until some have.
func (w *watching) calls(most int) (ended, failed int, last *sandgatev1.Overview) {
	w.t.Helper()
	for ended < most {
		last = w.next()
		window := last.GetRates().GetWindow().AsDuration().Seconds()
		ended += int(math.Round(last.GetRates().GetCallsPerSecond() * window))
		failed += int(math.Round(last.GetRates().GetErrorsPerSecond() * window))
	}
	return ended, failed, last
}

func newWatchedRig(t *testing.T) *rig {
	t.Helper()
	return newRig(t, func(opts *Options) {
		RegisterOperator(opts.Registry)
		opts.Version = "v1"
		opts.Checks = map[string]Readiness{"engine": ReadinessFunc(func(context.Context) error { return errBoom })}
		opts.Pool = func() []PoolFill { return []PoolFill{{Template: "python", Ready: 1, Wanted: 2}} }
	})
}

func TestOverview(t *testing.T) {
	g := newWatchedRig(t)
	id, idle := g.session(t), g.session(t)
	python := sandgatev1connect.NewPythonServiceClient(g.client, g.url)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go func() {
		if stream, err := python.Run(ctx, &sandgatev1.RunRequest{SessionId: id, Code: "wait"}); err == nil {
			stream.Receive()
			_ = stream.Close()
		}
	}()
	<-g.runs
	w := watchOverview(t, g, &sandgatev1.WatchOverviewRequest{MaxSessions: 1})
	first := w.next()
	if first.GetVersion() != "v1" || first.GetRuntime() != "runc" || first.GetDraining() || first.GetRates() != nil || first.GetRpcsRunning() != 2 ||
		first.GetPool()[0].GetWanted() != 2 || len(first.GetChecks()) != 2 || first.GetChecks()[1].GetName() != "engine" || first.GetChecks()[1].GetPassed() {
		t.Errorf("the gateway: %v", first)
	}
	if s := first.GetSessions(); s.GetRunning() != 2 || s.GetTenants() != 1 || s.GetMax() != 256 {
		t.Errorf("sessions: %v", s)
	}
	if r := first.GetRunning(); len(r) != 1 || r[0].GetName() != "python_run" || r[0].GetCount() != 1 {
		t.Errorf("running: %v", r)
	}
	if one := first.GetTenants(); len(one) != 1 || one[0].GetTenant() != "default" || one[0].GetSessions() != 2 || one[0].GetRunningCalls() != 1 {
		t.Errorf("tenants: %v", one)
	}
	if most := first.GetMostActive(); len(most) != 1 || most[0].GetShownId() != shown(id) || most[0].GetCalls() != 1 || most[0].GetRunningCalls() != 1 {
		t.Errorf("the most active: %v", most)
	}
	if strings.Contains(first.String(), id) || strings.Contains(first.String(), idle) {
		t.Error("the overview holds what lets one into a session")
	}

	// One that succeeds by its RPC, two that fail by the name of their tool, and one whose caller leaves.
	files := sandgatev1connect.NewFileServiceClient(g.client, g.url)
	if _, err := files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: id, Path: "f"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"panic", "boom"} {
		_, err := g.tools().CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: id, Name: "file_read", Arguments: arguments(t, `{"path":"`+path+`"}`)})
		wantError(t, err, connect.CodeInternal, ReasonInternal)
	}
	leave()
	ended, failed, last := w.calls(4)
	if ended != 4 || failed != 2 || len(last.GetRunning()) != 0 {
		t.Errorf("%d calls ended, %d failed, %v run", ended, failed, last.GetRunning())
	}
}

// TestOverviewEndsWithTheGateway: the drain does not wait for who watches, and they are told.
func TestOverviewEndsWithTheGateway(t *testing.T) {
	g := newWatchedRig(t)
	w := watchOverview(t, g, &sandgatev1.WatchOverviewRequest{})
	w.next()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- g.server.Shutdown(ctx) }()
	for !w.next().GetDraining() {
	}
	if w.stream.Receive() || w.stream.Err() != nil {
		t.Errorf("the stream goes on, or failed: %v", w.stream.Err())
	}
	g.client.CloseIdleConnections()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestOverviewRefuses(t *testing.T) {
	g := newWatchedRig(t)
	for _, req := range []*sandgatev1.WatchOverviewRequest{
		{Interval: durationpb.New(time.Millisecond)}, {Interval: durationpb.New(time.Hour)}, {MaxSessions: 1001}, {MaxTenants: -1},
	} {
		stream, err := sandgatev1connect.NewOperatorServiceClient(g.client, g.url).WatchOverview(t.Context(), req)
		if err == nil {
			stream.Receive()
			err = errors.Join(stream.Err())
			_ = stream.Close()
		}
		wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
	}
}

// TestCallsCountOnce: a replay is no call, and neither is following one.
func TestCallsCountOnce(t *testing.T) {
	o := newOnceRig(t)
	for range 3 {
		if _, err := o.tools().CallTool(t.Context(), o.request("c1", "hello")); err != nil {
			t.Fatal(err)
		}
	}
	if row, err := o.db.Call(t.Context(), "default", "c1"); err != nil || row.State != store.CallEnded {
		t.Fatalf("%+v, %v", row, err)
	}
	if got := o.server.opts.Registry.traffic.read().all; got.ended != 1 || got.failed != 0 {
		t.Errorf("%+v", got)
	}
}

func TestTrafficIsBounded(t *testing.T) {
	traffic := newTraffic()
	for range 2 * maxTrafficTenants {
		if counts := traffic.of(newSessionID()); counts != nil {
			counts.add(true)
		}
	}
	got := traffic.read()
	if len(got.tenants) != maxTrafficTenants {
		t.Errorf("%d tenants are counted apart", len(got.tenants))
	}
	for name, counted := range got.tenants {
		if counted.ended != 1 || counted.failed != 1 || traffic.of(name) == nil {
			t.Fatalf("%+v", counted)
		}
	}
}

func TestSpanBuckets(t *testing.T) {
	last := 0
	for d := time.Microsecond; d < 300*time.Hour; d += 1 + d/50 {
		bucket := spanBucket(d)
		bound := spanBound(bucket)
		if bucket < last || bound < d.Truncate(time.Microsecond) || bound > d+d/4+time.Microsecond {
			t.Fatalf("%s is in bucket %d, whose bound is %s", d, bucket, bound)
		}
		last = bucket
	}
	for _, d := range []time.Duration{-1, 0, math.MaxInt64} {
		if bucket := spanBucket(d); bucket < 0 || bucket >= spanBuckets {
			t.Errorf("%d is in bucket %d", d, bucket)
		}
	}
}

func TestQuantiles(t *testing.T) {
	before, now := &tally{}, &tally{}
	if got := now.quantile(before, 0.5); got != 0 {
		t.Errorf("of nothing: %s", got)
	}
	before.spans[spanBucket(time.Hour)] = 1000 // ended before
	now.spans[spanBucket(time.Hour)] = 1000
	now.spans[spanBucket(time.Millisecond)] = 98
	now.spans[spanBucket(time.Second)] = 2
	for part, want := range map[float64]time.Duration{0.5: time.Millisecond, 0.98: time.Millisecond, 0.99: time.Second, 1: time.Second} {
		if got := now.quantile(before, part); got < want || got > want+want/4 {
			t.Errorf("%v of them took %s, want %s", part, got, want)
		}
	}
}
