package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// atOnce is how many containers are made or removed at the same time: what a gateway does by default.
const atOnce = 4

// scale says how much is measured.
type scale struct {
	rounds    int           // of everything that is compared with a floor
	batch     int           // calls a round
	window    time.Duration // of a round that counts calls
	creations int           // sessions taken from the pool
	cold      int           // sessions made cold
	contexts  int           // rounds of making contexts
	idle      int           // sessions that wait idle
	burst     int           // sessions asked for at once
	flood     int           // bytes written to stdout, and of a large file
	deferred  int           // sessions that have no sandbox
}

func newScale(quick bool) scale {
	if quick {
		return scale{
			rounds: 5, batch: 40, window: 500 * time.Millisecond,
			creations: 20, cold: 5, contexts: 5, idle: 10, burst: 20, flood: 128 << 20, deferred: 1000,
		}
	}
	return scale{
		rounds: 15, batch: 100, window: 2 * time.Second,
		creations: 100, cold: 15, contexts: 25, idle: 20, burst: 100, flood: 1 << 30, deferred: 10_000,
	}
}

// bench measures, one row after another.
type bench struct {
	engine *engine
	binary string
	scale  scale
	cpu    bool
	out    io.Writer
	report *report
}

// rig is what an experiment works with: a gateway of its own, on one runtime.
type rig struct {
	*bench
	runtime string
	gateway *gateway
	client  *client
	noise   *client // of another tenant
}

// experiment measures the rows of one id.
type experiment struct {
	id   string
	pool int // warm sandboxes that its gateway keeps
	// sessions is how many its gateway allows. Zero: one of two tenants may have 128, which BURST asks for.
	sessions int
	measure  func(ctx context.Context, r *rig) ([]row, error)
}

// experiments are all of them, in the order of the design's table.
func experiments() []experiment {
	return []experiment{
		{id: "B1", measure: measureCall},
		{id: "B2", measure: measureRate},
		{id: "B3", pool: warmPool, measure: measureWarm},
		{id: "B4", measure: measureCold},
		{id: "B5", measure: measureContext},
		{id: "B6", measure: measureIdle},
		{id: "B8", measure: measureFiles},
		{id: "B9", measure: measureDocuments},
		{id: "TRANSFER", measure: measureTransfer},
		{id: "DEFERRED", sessions: 30_000, measure: measureDeferred},
		{id: "BURST", measure: measureBurst},
		{id: "FLOOD", measure: measureFlood},
		{id: "QUIET", measure: measureQuiet},
	}
}

// all measures every row that is wanted, and returns why some could not be.
func (b *bench) all(ctx context.Context, o options) error {
	var errs []error
	for _, x := range experiments() {
		if len(o.rows) > 0 && !slices.Contains(o.rows, x.id) {
			continue
		}
		for _, runtime := range o.runtimes {
			if ctx.Err() != nil {
				return errors.Join(errs...)
			}
			rows, err := b.one(ctx, x, runtime)
			b.report.add(rows...)
			if err != nil {
				err = fmt.Errorf("%s on %s: %w", x.id, runtime, err)
				errs = append(errs, err)
				if ctx.Err() == nil {
					_, _ = fmt.Fprintln(b.out, err)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// one runs an experiment with a gateway of its own, which takes all its sessions along when it ends.
func (b *bench) one(ctx context.Context, x experiment, runtime string) (rows []row, err error) {
	g, err := startGateway(ctx, b.engine, b.binary, runtime, x.pool, cmp.Or(x.sessions, 256))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.Close(ctx)) }()
	r := &rig{bench: b, runtime: runtime, gateway: g, client: g.dial(measured), noise: g.dial(noisy)}
	defer r.client.http.CloseIdleConnections()
	defer r.noise.http.CloseIdleConnections()
	rows, err = x.measure(ctx, r)
	for i := range rows {
		rows[i].ID, rows[i].Runtime = x.id, runtime
	}
	return rows, err
}

// session makes a session with the default limits.
func (r *rig) session(ctx context.Context, template string) (*session, error) {
	return r.client.create(ctx, &sandgatev1.CreateSessionRequest{Template: template})
}
