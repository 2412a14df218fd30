package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
)

// Bounds of the readiness checks.
const (
	readyCache   = time.Second // answers are so old at most, however often probes ask
	readyTimeout = time.Second // for one check
)

// checkAccepting is the check that the gateway makes of itself: it is not ending.
const checkAccepting = "accepting"

// Readiness is something that the gateway cannot work without: an engine, a pool.
type Readiness interface {
	// Ready returns nil if it can be used now. It must return when ctx ends.
	Ready(ctx context.Context) error
}

// ReadinessFunc is a function that is a [Readiness].
type ReadinessFunc func(ctx context.Context) error

// Ready calls f.
func (f ReadinessFunc) Ready(ctx context.Context) error { return f(ctx) }

// livez says that the process answers. It asks nobody.
func livez(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // a probe that left needs no answer
}

// readiness answers whether the gateway may be sent work.
type readiness struct {
	checks    map[string]Readiness
	admission *admission
	log       *slog.Logger

	mu     sync.Mutex
	asked  time.Time       // guarded by mu
	passed map[string]bool // guarded by mu; replaced, never changed
}

func newReadiness(checks map[string]Readiness, admission *admission, log *slog.Logger) *readiness {
	return &readiness{checks: checks, admission: admission, log: log}
}

// ServeHTTP serves /readyz: 200 when all is well, 503 otherwise, with the checks by name.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ready, checks := r.state(req.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// The writer is a probe's; if it left, nobody needs the answer.
	_ = json.NewEncoder(w).Encode(struct {
		Ready  bool            `json:"ready"`
		Checks map[string]bool `json:"checks"`
	}{ready, checks})
}

// state returns whether the gateway is ready, and each check's outcome.
func (r *readiness) state(ctx context.Context) (bool, map[string]bool) {
	checks := map[string]bool{checkAccepting: !r.admission.isDraining()}
	maps.Copy(checks, r.ask(ctx))
	for _, passed := range checks {
		if !passed {
			return false, checks
		}
	}
	return true, checks
}

// ask runs the checks at once, unless that was done a moment ago. Probes that come meanwhile wait
// for the same answer.
func (r *readiness) ask(ctx context.Context) map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.passed != nil && time.Since(r.asked) < readyCache {
		return r.passed
	}
	// A probe that leaves must not fail the check for the others.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	passed := make(map[string]bool, len(r.checks))
	var all sync.WaitGroup
	var mu sync.Mutex
	for name, check := range r.checks {
		all.Go(func() {
			err := check.Ready(within)
			r.tell(within, name, err)
			mu.Lock()
			defer mu.Unlock()
			passed[name] = err == nil
		})
	}
	all.Wait()
	r.asked, r.passed = time.Now(), passed
	return passed
}

// tell logs what a check found if it found something else before, whatever it was asked for in between. The
// caller of the checks holds mu.
func (r *readiness) tell(ctx context.Context, name string, err error) {
	before, known := r.passed[name]
	switch {
	case err != nil && (before || !known):
		r.log.WarnContext(ctx, "not ready", "check", name, "err", err)
	case err == nil && known && !before:
		r.log.InfoContext(ctx, "ready again", "check", name)
	}
}

// health answers grpc.health.v1 from the same state.
type health struct {
	ready    *readiness
	services []string
}

func newHealth(ready *readiness, services []string) *health {
	return &health{ready: ready, services: services}
}

// Check tells how one service, or with an empty name the whole gateway, is.
func (h *health) Check(ctx context.Context, req *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	if req.Service != "" && !slices.Contains(h.services, req.Service) {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such service"))
	}
	if ready, _ := h.ready.state(ctx); !ready {
		return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
}
