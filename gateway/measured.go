package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sandgate/sandgate/sandbox"
)

// A MeasuredDriver counts and times what a driver makes. It is a collector for [Options].
type MeasuredDriver struct {
	driver    sandbox.Driver
	creations *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
}

// MeasureDriver measures a driver, which must be the one that a pool fills itself from. The templates
// are all that it is asked for: they become values of a label.
func MeasureDriver(driver sandbox.Driver, templates []string) *MeasuredDriver {
	d := &MeasuredDriver{
		driver: driver,
		creations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandgate_sandbox_creations_total",
			Help: "Sandboxes made, by whom for (the pool, or a session that found it empty) and how that ended.",
		}, []string{"template", "for", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sandgate_sandbox_creation_seconds", Help: "Time in which sandboxes were made that could be made.",
			Buckets: []float64{.05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 5, 10, 20, 60},
		}, []string{"template"}),
	}
	for _, template := range templates {
		d.seconds.WithLabelValues(template)
		for _, asker := range []string{forPool, forSession} {
			for _, outcome := range []string{madeOK, madeNot, madeLate, madeForNobody} {
				d.creations.WithLabelValues(template, asker, outcome) // so that the first is an increase
			}
		}
	}
	return d
}

// Who a sandbox is made for, and how that ends.
const (
	forPool       = "pool"
	forSession    = "session"
	madeOK        = "ok"
	madeNot       = "failed"
	madeLate      = "timeout"
	madeForNobody = "cancelled" // the caller left, or the pool is closed: that says nothing of the engine
)

// Create makes a sandbox.
func (d *MeasuredDriver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	start := time.Now()
	made, err := d.driver.Create(ctx, spec)
	asker, outcome := forPool, madeOK
	if callFrom(ctx) != nil {
		asker = forSession
	}
	switch {
	case err == nil:
		d.seconds.WithLabelValues(spec.Template).Observe(time.Since(start).Seconds())
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		outcome = madeLate
	case ctx.Err() != nil:
		outcome = madeForNobody
	default:
		outcome = madeNot
	}
	d.creations.WithLabelValues(spec.Template, asker, outcome).Inc()
	return made, err
}

// Describe tells which metrics there are.
func (d *MeasuredDriver) Describe(to chan<- *prometheus.Desc) {
	d.creations.Describe(to)
	d.seconds.Describe(to)
}

// Collect gives the metrics.
func (d *MeasuredDriver) Collect(to chan<- prometheus.Metric) {
	d.creations.Collect(to)
	d.seconds.Collect(to)
}
