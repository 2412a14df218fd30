package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/docker"
)

// gatewayParts is a gateway with everything that it stands on.
type gatewayParts struct {
	cfg      *config.Config
	log      *slog.Logger
	tracer   trace.Tracer // nil: no spans are made
	runtime  string
	state    *stateDir
	keys     *keyParts
	ledger   *quota.Ledger
	sharing  atomic.Pointer[sharing]
	audit    gateway.Auditor // nil: nothing is kept
	calls    *journal.Journal
	driver   *docker.Driver
	sessions *gateway.Sessions
	server   *gateway.Server
	listener net.Listener
	pool     atomic.Pointer[sandbox.Pool] // nil until the sandboxes of an earlier gateway are settled
	filled   atomic.Bool                  // the pool was full once, or there are sessions to be served without it
	undo     teardown

	metricsListener net.Listener // nil: the metrics have none of their own
	measured        *gateway.MeasuredDriver
	breaker         *sandbox.Breaker // between the pool and the engine
}

// openGateway makes a gateway that only needs to be served. Whatever it opened is closed again when
// it fails.
func openGateway(ctx context.Context, cfg *config.Config, log *slog.Logger, tracer trace.Tracer) (*gatewayParts, error) {
	g := &gatewayParts{cfg: cfg, log: log, tracer: tracer}
	for _, open := range []func(context.Context) error{
		g.openState, g.openKeys, g.probePort, g.openLedger, g.inspectHost, g.openAudit, g.openDriver, g.openSessions, g.openPool, g.openServer,
	} {
		err := open(ctx)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, errors.Join(err, g.close(context.WithoutCancel(ctx)))
		}
	}
	return g, nil
}

// close ends the gateway: calls first, then sessions, then what they stood on.
func (g *gatewayParts) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.DrainTimeout+endTimeout)
	defer cancel()
	return g.undo.run(ctx)
}

// probePort fails where the port is taken, before anything is made or settled: a start that cannot
// succeed must not touch the sessions of a gateway that died.
func (g *gatewayParts) probePort(ctx context.Context) error {
	metrics, err := listenMetrics(ctx, g.cfg)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, g.cfg, g.keys.gate.Open())
	if err == nil {
		err = listener.Close()
	}
	if metrics != nil {
		err = errors.Join(err, metrics.Close())
	}
	return err
}

// openState locks the state folder.
func (g *gatewayParts) openState(context.Context) (err error) {
	if g.state, err = openStateDir(g.cfg.StateDir); err != nil {
		return err
	}
	g.undo.add("unlock the state folder", func(context.Context) error { return g.state.Close() })
	return nil
}

// openDriver connects to the engine.
func (g *gatewayParts) openDriver(ctx context.Context) (err error) {
	g.driver, err = docker.New(ctx, docker.Options{
		Image:        g.cfg.Image,
		Owner:        g.state.deployment,
		MaxCreating:  g.cfg.MaxCreating,
		CgroupParent: g.cfg.CgroupParent,
		Log:          g.log,
	})
	if err != nil {
		return err
	}
	g.undo.add("leave the engine", func(context.Context) error { return g.driver.Close() })
	return nil
}

// openKeys opens the store and reads who may call.
func (g *gatewayParts) openKeys(ctx context.Context) (err error) {
	if g.keys, err = openKeys(ctx, g.cfg, g.state.deployment); err != nil {
		return err
	}
	g.undo.add("close the store", func(context.Context) error { return g.keys.Close() })
	return g.keys.watch(ctx, g.log)
}

// openLedger reads what tenants have used.
func (g *gatewayParts) openLedger(ctx context.Context) (err error) {
	if g.ledger, err = quota.NewLedger(ctx, g.keys.db, g.keys.ring, g.log); err != nil {
		return err
	}
	g.undo.add("write what was used", func(context.Context) error {
		g.ledger.Close()
		return nil
	})
	return nil
}

// shared tells whether several tenants may come. Every call asks, so it is looked up anew only when keys
// have changed.
func (g *gatewayParts) shared() bool {
	generation := g.keys.ring.Generation()
	if known := g.sharing.Load(); known != nil && known.generation == generation {
		return known.yes
	}
	tenants, more := g.keys.gate.Tenants()
	known := &sharing{generation, len(tenants) > 1 || more}
	g.sharing.Store(known)
	return known.yes
}

// sharing is whether tenants share the gateway, as of a generation of its keys.
type sharing struct {
	generation int64
	yes        bool
}

// openSessions takes over what an earlier gateway left.
func (g *gatewayParts) openSessions(ctx context.Context) (err error) {
	if err := g.tenantsFit(""); err != nil {
		return err
	}
	g.sessions, err = gateway.NewSessions(gateway.SessionOptions{
		// The pool must not exist before Recover: it would fill while strays still hold memory.
		Driver: sandbox.DriverFunc(func(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
			pool := g.pool.Load()
			if pool == nil {
				return nil, sandbox.ErrUnavailable
			}
			return pool.Create(ctx, spec)
		}),
		Store:       g.keys.db,
		Accounts:    g.ledger,
		Shared:      g.shared,
		Allow:       g.mayCreate,
		Audit:       g.audit,
		Runtime:     g.runtime,
		Templates:   templates(),
		Defaults:    g.cfg.DefaultLimits,
		Maximum:     g.cfg.MaxLimits,
		MaxSessions: g.cfg.MaxSessions,
		IdleTimeout: g.cfg.IdleTimeout,
		MaxLifetime: g.cfg.MaxLifetime,
		Logger:      g.log,
	})
	if err != nil {
		return err
	}
	g.undo.add("end the sessions", g.sessions.Close)
	start := time.Now()
	err = g.sessions.Recover(ctx, func(keep func(string) bool) ([]sandbox.Sandbox, error) {
		return g.driver.Reconcile(ctx, keep)
	})
	if err != nil {
		return err
	}
	counts := g.sessions.Counts()
	// Whoever uses a session that lives on waits for this gateway, and needs no warm sandbox.
	g.filled.Store(counts.Running > 0)
	if counts.Running+counts.Lost > 0 {
		g.log.Info("settled what an earlier gateway left", "taken_over", counts.Running, "lost", counts.Lost, "wall", time.Since(start))
	}
	reaper := docker.StartReaper(g.driver, 0)
	g.undo.add("stop the reaper", func(context.Context) error {
		reaper.Close()
		return nil
	})
	return nil
}

// tenantsFit returns an error where there are several tenants and nothing but runc between them, which
// the operator has not accepted.
func (g *gatewayParts) tenantsFit(string) error {
	tenants, more := g.keys.gate.Tenants()
	if len(tenants) < 2 && !more || g.runtime == config.RuntimeRunsc || g.cfg.TenantRuntime == config.RuntimeAny {
		return nil
	}
	return gateway.Errorf(connect.CodeFailedPrecondition, gateway.ReasonTenantsNeedGVisor,
		"The operator runs `make setup` to register gVisor, or sets tenant_runtime to any.",
		"callers of several tenants may be let in, and sandboxes run on %s: one kernel is all that is between them", g.runtime)
}

// templates are the templates of sandboxes, the default one first.
func templates() []string { return []string{"python", "data"} }

// openPool starts the warm pool, which fills in the background.
func (g *gatewayParts) openPool(context.Context) error {
	limits := g.cfg.DefaultLimits.WithDefaults()
	ready := map[sandbox.Spec]int{}
	for template, count := range map[string]int{"python": g.cfg.PoolPython, "data": g.cfg.PoolData} {
		ready[sandbox.Spec{Template: template, Runtime: g.runtime, Limits: limits}] = count
	}
	pool := g.openPoolOver(g.driver, ready)
	g.undo.add("empty the pool", pool.Close)
	return nil
}

// openServer registers every service and opens the port.
func (g *gatewayParts) openServer(ctx context.Context) (err error) {
	g.calls = journal.New(ctx, journal.Options{Store: g.keys.db, Logger: g.log})
	g.undo.add("close the journal", g.calls.Drain) // the server has, unless it was not made
	failpoint.Reach(failpoint.StartJournal)
	registry, err := newRegistry(g.sessions, g.keys.gate, g.calls, g.ledger)
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

// inspectHost refuses a host that is unfit, and chooses the runtime.
func (g *gatewayParts) inspectHost(ctx context.Context) error {
	report, err := inspectHost(ctx, g.cfg)
	if err != nil {
		return err
	}
	g.runtime = report.Runtime
	return report.refusal(g.cfg.Runtime)
}
