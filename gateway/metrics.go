package gateway

import (
	"fmt"
	"net/http"
	"slices"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Gauge is a number that others want in the metrics.
type Gauge struct {
	// Name is the metric's name, such as `sandgate_pool_sandboxes`.
	Name string
	// Help says what it counts.
	Help string
	// Labels tell gauges of one name apart. They are constants of the program, never a caller's.
	Labels map[string]string
	// Value is asked at each scrape, by any number of goroutines.
	Value func() float64
}

// metrics are the gateway's. Every label takes its values from the program's own lists, so that no
// caller can make new series.
type metrics struct {
	page     http.Handler
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	tools    *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	refusals *prometheus.CounterVec
	guests   *prometheus.CounterVec
}

func newMetrics(opts Options, gauges []Gauge) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandgate_calls_total", Help: "RPCs served, by how they ended.",
		}, []string{"procedure", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sandgate_call_seconds", Help: "Time from a request's first byte to its reply's last.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"procedure"}),
		tools: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandgate_tool_calls_total", Help: "Tool calls served, by tool and by how the RPC ended.",
		}, []string{"tool", "code"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandgate_call_bytes_total", Help: "Bytes of requests and replies.",
		}, []string{"direction"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandgate_refused_total", Help: "Requests that were not let in.",
		}, []string{"code"}),
		guests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandgate_guest_failures_total", Help: "Calls that failed because a sandbox did not answer as it must.",
		}, []string{"reason"}),
	}
	for _, reason := range guestFailures() {
		m.guests.WithLabelValues(reason) // so that the first failure is an increase
	}
	registry := prometheus.NewRegistry()
	all := []prometheus.Collector{
		m.calls, m.seconds, m.tools, m.bytes, m.refusals, m.guests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	if opts.Sessions != nil {
		all = append(all, opts.Sessions.losses)
	}
	all = append(all, opts.Collectors...)
	for _, gauge := range append(gauges, opts.Gauges...) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: gauge.Name, Help: gauge.Help, ConstLabels: gauge.Labels,
		}, gauge.Value))
	}
	for _, collector := range all {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("register a metric: %w", err)
		}
	}
	m.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m, nil
}

// call counts a call. procedure and tool are names that the gateway itself knows.
func (m *metrics) call(procedure, tool string, sum summary) {
	m.calls.WithLabelValues(procedure, sum.code).Inc()
	m.seconds.WithLabelValues(procedure).Observe(sum.wall.Seconds())
	m.bytes.WithLabelValues("in").Add(float64(sum.in))
	m.bytes.WithLabelValues("out").Add(float64(sum.out))
	if tool != "" {
		m.tools.WithLabelValues(tool, sum.code).Inc()
	}
}

// failed counts a call that failed by a guest's doing.
func (m *metrics) failed(err error) {
	if err == nil {
		return
	}
	if reason := detailReason(err); slices.Contains(guestFailures(), reason) {
		m.guests.WithLabelValues(reason).Inc()
	}
}

// guestFailures are the reasons of errors that a sandbox is to blame for, as the backends write them.
// A sandbox that ended is not among them: its session is counted once, as lost.
func guestFailures() []string {
	return []string{"SANDBOX_SILENT", "SANDBOX_MISBEHAVED", "SANDBOX_ERROR", "REPLY_TOO_LARGE"}
}

// refused counts a request that was not let in.
func (m *metrics) refused(err error) {
	m.refusals.WithLabelValues(connect.CodeOf(err).String()).Inc()
}
