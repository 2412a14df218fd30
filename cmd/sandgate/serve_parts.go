package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/fileserver/snapshot"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/docker"
)

// gatewayParts is a gateway with everything that it stands on.
type gatewayParts struct {
	cfg       *config.Config
	log       *slog.Logger
	tracer    trace.Tracer // nil: no spans are made
	runtime   string
	state     *stateDir
	keys      *keyParts
	ledger    *quota.Ledger
	sharing   atomic.Pointer[sharing]
	audit     gateway.Auditor // nil: nothing is kept
	calls     *journal.Journal
	driver    *docker.Driver
	sessions  *gateway.Sessions
	snapshots *snapshot.Store
	server    *gateway.Server
	listener  net.Listener
	pool      atomic.Pointer[sandbox.Pool] // nil until the sandboxes of an earlier gateway are settled
	filled    atomic.Bool                  // the pool was full once, or there are sessions to be served without it
	undo      teardown

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

// inspectHost refuses a host that is unfit, and chooses the runtime.
func (g *gatewayParts) inspectHost(ctx context.Context) error {
	report, err := inspectHost(ctx, g.cfg)
	if err != nil {
		return err
	}
	g.runtime = report.Runtime
	return report.refusal(g.cfg.Runtime)
}
