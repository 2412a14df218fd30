package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/store"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/docker"
	"github.com/sandgate/sandgate/sandbox/guest/health"
)

// gatewayParts is a gateway with everything that it stands on.
type gatewayParts struct {
	cfg      *config.Config
	log      *slog.Logger
	runtime  string
	state    *stateDir
	driver   *docker.Driver
	sessions *gateway.Sessions
	server   *gateway.Server
	listener net.Listener
	pool     atomic.Pointer[sandbox.Pool] // nil until the sandboxes of an earlier gateway are settled
	filled   atomic.Bool                  // the pool was full once
	undo     teardown
}

// openGateway makes a gateway that only needs to be served. Whatever it opened is closed again when
// it fails.
func openGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) (*gatewayParts, error) {
	g := &gatewayParts{cfg: cfg, log: log}
	for _, open := range []func(context.Context) error{
		g.probePort, g.inspectHost, g.openState, g.openDriver, g.openSessions, g.openPool, g.openServer,
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
	listener, err := listen(ctx, g.cfg)
	if err != nil {
		return err
	}
	return listener.Close()
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

// openSessions opens the store and takes over what an earlier gateway left.
func (g *gatewayParts) openSessions(ctx context.Context) error {
	db, err := store.Open(ctx, g.state.database())
	if err != nil {
		return err
	}
	g.undo.add("close the store", func(context.Context) error { return db.Close() })
	g.sessions, err = gateway.NewSessions(gateway.SessionOptions{
		// The pool must not exist before Recover: it would fill while strays still hold memory.
		Driver: sandbox.DriverFunc(func(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
			pool := g.pool.Load()
			if pool == nil {
				return nil, sandbox.ErrUnavailable
			}
			return pool.Create(ctx, spec)
		}),
		Store:       db,
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
	if counts := g.sessions.Counts(); counts.Running+counts.Lost > 0 {
		g.log.Info("settled what an earlier gateway left", "taken_over", counts.Running, "lost", counts.Lost, "wall", time.Since(start))
	}
	reaper := docker.StartReaper(g.driver, 0)
	g.undo.add("stop the reaper", func(context.Context) error {
		reaper.Close()
		return nil
	})
	return nil
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
	pool := sandbox.NewPool(g.driver, sandbox.PoolOptions{Ready: ready, Check: health.New().Check, Log: g.log})
	g.pool.Store(pool)
	g.undo.add("empty the pool", pool.Close)
	return nil
}

// openServer registers every service and opens the port.
func (g *gatewayParts) openServer(ctx context.Context) error {
	registry, err := newRegistry(g.sessions)
	if err != nil {
		return err
	}
	g.server, err = gateway.NewServer(gateway.Options{
		Registry:       registry,
		Sessions:       g.sessions,
		Logger:         g.log,
		AllowedHosts:   g.cfg.AllowedHosts,
		AllowedOrigins: g.cfg.AllowedOrigins,
		Checks: map[string]gateway.Readiness{
			"engine": g.driver,
			"pool":   gateway.ReadinessFunc(g.poolReady),
		},
		Gauges:   g.poolGauges(),
		CertFile: g.cfg.TLSCert,
		KeyFile:  g.cfg.TLSKey,
	})
	if err != nil {
		return err
	}
	if err := g.mountMCP(); err != nil {
		return err
	}
	if g.listener, err = listen(ctx, g.cfg); err != nil {
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
	return nil
}

// poolReady returns nil once a sandbox of every template that is kept warm has waited. Afterwards an
// empty pool makes sessions slower to create, and the gateway no less ready.
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

// poolGauges show how full the pool is.
func (g *gatewayParts) poolGauges() []gateway.Gauge {
	var gauges []gateway.Gauge
	for _, template := range templates() {
		gauges = append(gauges, gateway.Gauge{
			Name: "sandgate_pool_ready", Help: "Warm sandboxes that wait for a session.",
			Labels: map[string]string{"template": template},
			Value: func() float64 {
				count := 0
				ready, _ := g.pool.Load().Ready()
				for spec, n := range ready {
					if spec.Template == template {
						count += n
					}
				}
				return float64(count)
			},
		})
	}
	return gauges
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
