package main

import (
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guest/health"
)

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
