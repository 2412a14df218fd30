package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/sandbox"
)

// start serves every port. Each gives the channel its end; running is how many they are.
func (g *gatewayParts) start() (ended <-chan error, running int) {
	ends := make(chan error, 2)
	go func() { ends <- g.server.Serve(g.listener) }() // ends with Shutdown in close
	if g.metricsListener == nil {
		return ends, 1
	}
	go func() { ends <- g.server.ServeMetrics(g.metricsListener) }() // likewise
	return ends, 2
}

// openMetrics opens the metrics' own port where one is asked for.
func (g *gatewayParts) openMetrics(ctx context.Context) (err error) {
	g.metricsListener, err = listenMetrics(ctx, g.cfg)
	if err != nil || g.metricsListener == nil {
		return err
	}
	g.undo.add("close the metrics' port", func(context.Context) error {
		if err := g.metricsListener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // the server that used it has closed it
	})
	return nil
}

// listenMetrics opens the metrics' own port, nil where none is asked for.
func listenMetrics(ctx context.Context, cfg *config.Config) (net.Listener, error) {
	if cfg.MetricsListen == "" {
		return nil, nil
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", cfg.MetricsListen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hintError{
			err:  fmt.Errorf("something answers on %s already", cfg.MetricsListen),
			hint: "stop it, or choose another address with --metrics-listen",
		}
	}
	return listener, err
}

// poolGauges show how full the pool is, and how full it is to be.
func (g *gatewayParts) poolGauges() []gateway.Gauge {
	var gauges []gateway.Gauge
	for _, template := range templates() {
		labels := map[string]string{"template": template}
		gauges = append(gauges, gateway.Gauge{
			Name: "sandgate_pool_ready", Help: "Warm sandboxes that wait for a session.", Labels: labels,
			Value: func() float64 {
				ready, _ := g.pool.Load().Ready()
				return ofTemplate(ready, template)
			},
		}, gateway.Gauge{
			Name: "sandgate_pool_wanted", Help: "Warm sandboxes that the pool is to hold.", Labels: labels,
			Value: func() float64 {
				_, wanted := g.pool.Load().Ready()
				return ofTemplate(wanted, template)
			},
		})
	}
	return gauges
}

// poolFill shows the same in the overview.
func (g *gatewayParts) poolFill() []gateway.PoolFill {
	ready, wanted := g.pool.Load().Ready()
	var fill []gateway.PoolFill
	for _, template := range templates() {
		fill = append(fill, gateway.PoolFill{
			Template: template, Ready: int(ofTemplate(ready, template)), Wanted: int(ofTemplate(wanted, template)),
		})
	}
	return fill
}

// ofTemplate adds up what a pool has of a template.
func ofTemplate(counts map[sandbox.Spec]int, template string) float64 {
	total := 0
	for spec, n := range counts {
		if spec.Template == template {
			total += n
		}
	}
	return float64(total)
}

// buildGauge tells which program this is.
func buildGauge() gateway.Gauge {
	return gateway.Gauge{
		Name: "sandgate_build_info", Help: "1, with the version of this program.",
		Labels: map[string]string{"version": buildVersion()},
		Value:  func() float64 { return 1 },
	}
}
