package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/journal"
)

// wasmFolder is where compiled programs are kept, in the state's folder.
const wasmFolder = "wasm"

// openServer registers every service and opens the port.
func (g *gatewayParts) openServer(ctx context.Context) (err error) {
	g.calls = journal.New(ctx, journal.Options{Store: g.keys.db, Logger: g.log})
	g.undo.add("close the journal", g.calls.Drain) // the server has, unless it was not made
	failpoint.Reach(failpoint.StartJournal)
	registry, err := g.openRegistry(ctx)
	if err != nil {
		return err
	}
	g.server, err = gateway.NewServer(gateway.Options{
		Registry:       registry,
		Authenticator:  g.keys.gate,
		Journal:        g.calls,
		Audit:          g.audit,
		Sessions:       g.sessions,
		Accounts:       g.ledger,
		Shared:         g.shared,
		Logger:         g.log,
		AllowedHosts:   g.cfg.AllowedHosts,
		AllowedOrigins: g.cfg.AllowedOrigins,
		Checks:         g.checks(),
		Gauges:         append(append(g.poolGauges(), g.breakerGauges()...), buildGauge()),
		Collectors:     []prometheus.Collector{g.measured},
		Version:        buildVersion(),
		Pool:           g.poolFill,
		MetricsApart:   g.cfg.MetricsApart(),
		Tracer:         g.tracer,
		CertFile:       g.cfg.TLSCert,
		KeyFile:        g.cfg.TLSKey,

		ClientAuthorities: g.keys.vouchers.authorities(),
	})
	if err != nil {
		return err
	}
	if err = g.openMetrics(ctx); err != nil {
		return err
	}
	if err := g.mountMCP(); err != nil {
		return err
	}
	mountFiles(g.server, g.keys, g.log)
	if g.listener, err = listen(ctx, g.cfg, g.keys.gate.Open()); err != nil {
		return err
	}
	g.undo.add("end the calls", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, g.cfg.DrainTimeout)
		defer cancel()
		err := g.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			g.log.Warn("calls were cancelled at the end of drain_timeout", "drain_timeout", g.cfg.DrainTimeout)
			return nil
		}
		return err
	})
	return g.server.RecoverCalls(ctx) // behind all that can fail: they work in the sessions, and must be drained
}

// checks are what the gateway cannot work without.
func (g *gatewayParts) checks() map[string]gateway.Readiness {
	checks := map[string]gateway.Readiness{
		"engine":  g.driver,
		"breaker": g.breaker,
		"state":   gateway.ReadinessFunc(g.stateHasRoom),
		"pool":    gateway.ReadinessFunc(g.poolReady),
	}
	if g.audit != nil {
		checks["audit"] = gateway.ReadinessFunc(func(context.Context) error { return g.audit.Err() })
	}
	return checks
}

// poolReady returns nil once a sandbox of every template that is kept warm has waited, at once where
// sessions were taken over. Afterwards an empty pool makes sessions slower to create, and the gateway
// no less ready.
func (g *gatewayParts) poolReady(context.Context) error {
	if g.filled.Load() {
		return nil
	}
	ready, wanted := g.pool.Load().Ready()
	for spec := range wanted {
		if ready[spec] == 0 {
			return fmt.Errorf("no warm sandbox of template %q yet", spec.Template)
		}
	}
	g.filled.Store(true)
	return nil
}

// openRegistry makes every service, and what reads and keeps files for them.
func (g *gatewayParts) openRegistry(ctx context.Context) (*gateway.Registry, error) {
	files, err := openFiles(g.cfg, g.sessions, g.log)
	if err != nil {
		return nil, err
	}
	documents := fileserver.NewDocuments(files, filepath.Join(g.cfg.StateDir, wasmFolder))
	g.undo.add("close the readers of documents", func(context.Context) error { return documents.Close() })
	registry, err := newRegistry(g.sessions, g.keys, g.calls, g.ledger, shelves{files, documents, g.snapshots})
	if err != nil {
		return nil, err
	}
	return registry, g.openWasmTools(ctx, registry)
}
