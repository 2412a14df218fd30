package main

import (
	"context"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/docker"
	"github.com/sandgate/sandgate/sandbox/guest/health"
)

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

// openPoolOver starts the warm pool over what makes sandboxes, with a breaker between them: while the engine
// fails, warm sandboxes are still handed out, and nothing else is asked of it. What the breaker refuses is
// not measured, as nothing was tried.
func (g *gatewayParts) openPoolOver(driver sandbox.Driver, ready map[sandbox.Spec]int) *sandbox.Pool {
	g.measured = gateway.MeasureDriver(driver, templates())
	g.breaker = sandbox.NewBreaker(g.measured, sandbox.BreakerOptions{Log: g.log})
	pool := sandbox.NewPool(g.breaker, sandbox.PoolOptions{Ready: ready, Check: health.New().Check, Log: g.log})
	g.pool.Store(pool)
	return pool
}

// breakerGauges show what happens with the next sandbox that is to be made.
func (g *gatewayParts) breakerGauges() []gateway.Gauge {
	var gauges []gateway.Gauge
	for _, state := range []sandbox.BreakerState{sandbox.BreakerClosed, sandbox.BreakerHalfOpen, sandbox.BreakerOpen} {
		gauges = append(gauges, gateway.Gauge{
			Name: "sandgate_engine_breaker", Help: "1 for the state of the breaker that stands before the engine.",
			Labels: map[string]string{"state": string(state)},
			Value: func() float64 {
				if g.breaker.State() == state {
					return 1
				}
				return 0
			},
		})
	}
	return gauges
}
