package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// waiting starts a call that lasts until it is cancelled and tells how it ended.
func (g *rig) waiting(t *testing.T) <-chan error {
	t.Helper()
	id := g.session(t)
	ended := make(chan error, 1)
	go func() {
		python := sandgatev1connect.NewPythonServiceClient(g.client, g.url)
		stream, err := python.Run(context.Background(), &sandgatev1.RunRequest{SessionId: id, Code: "wait"})
		if err == nil {
			for stream.Receive() {
			}
			err = stream.Err()
			_ = stream.Close()
		}
		ended <- err
	}()
	<-g.runs
	return ended
}

func TestDrain(t *testing.T) {
	g := newRig(t, nil)
	ended := g.waiting(t)
	ctx, giveUp := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.server.Shutdown(ctx) }()
	for !g.server.admission.isDraining() {
	}
	// While a call runs the gateway answers: it is alive, not ready, and takes no more.
	g.get(t, "/livez", nil)
	if status, body := g.fetch(t, http.MethodGet, "/readyz", nil); status != http.StatusServiceUnavailable || !strings.Contains(body, `"accepting":false`) {
		t.Errorf("readyz: %d %s", status, body)
	}
	for name, options := range wires() {
		_, err := g.tools(options...).ListTools(t.Context(), &sandgatev1.ListToolsRequest{})
		t.Log(name)
		wantError(t, err, connect.CodeUnavailable, ReasonDraining)
	}
	select {
	case err := <-ended:
		t.Fatalf("the running call ended: %v", err)
	default:
	}
	giveUp()
	if err := <-ended; connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("the call that had to be cancelled: %v", err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestShutdownWaitsForCalls(t *testing.T) {
	a := newAdmission(10, alone)
	for range 3 {
		if err := a.enter(""); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 2)
	for range 2 { // twice at once is no harm
		go func() { done <- a.drain(context.Background()) }()
	}
	for !a.isDraining() {
	}
	wantError(t, a.enter(""), connect.CodeUnavailable, ReasonDraining)
	a.leave("")
	a.leave("")
	select {
	case err := <-done:
		t.Fatalf("drained with a call running: %v", err)
	default:
	}
	a.leave("")
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestReadiness(t *testing.T) {
	var engine error
	g := newRig(t, func(o *Options) {
		o.Checks = map[string]Readiness{
			"engine": ReadinessFunc(func(context.Context) error { return engine }),
			"pool":   ReadinessFunc(func(context.Context) error { return nil }),
		}
	})
	if body := g.get(t, "/readyz", nil); !strings.Contains(body, `"engine":true`) {
		t.Errorf("readyz: %s", body)
	}
	engine = errBoom
	g.server.ready.passed = nil // as if a second had passed
	status, body := g.fetch(t, http.MethodGet, "/readyz", nil)
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"engine":false`) || strings.Contains(body, "secret") {
		t.Errorf("readyz: %d %s", status, body)
	}
	for service, want := range map[string]grpchealth.Status{"": grpchealth.StatusNotServing, "sandgate.v1.PythonService": grpchealth.StatusNotServing} {
		res, err := newHealth(g.server.ready, []string{"sandgate.v1.PythonService"}).Check(t.Context(), &grpchealth.CheckRequest{Service: service})
		if err != nil || res.Status != want {
			t.Errorf("%q: %v, %v", service, res, err)
		}
	}
	if !strings.Contains(g.log.String(), "secret") {
		t.Error("the log does not say why")
	}
	if status, _ := g.fetch(t, http.MethodPost, "/readyz", nil); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
}
