package gateway

import (
	"fmt"
	"net/http"

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
}

func newMetrics(opts Options, admission *admission) (*metrics, error) {
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
	}
	registry := prometheus.NewRegistry()
	all := []prometheus.Collector{
		m.calls, m.seconds, m.tools, m.bytes, m.refusals,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	for _, gauge := range append(ownGauges(opts.Sessions, admission), opts.Gauges...) {
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

func ownGauges(sessions *Sessions, admission *admission) []Gauge {
	gauges := []Gauge{{
		Name: "sandgate_calls_running", Help: "RPCs being served.",
		Value: func() float64 { return float64(admission.calls()) },
	}}
	if sessions == nil {
		return gauges
	}
	for state, count := range map[string]func(SessionCounts) int{
		"running":  func(c SessionCounts) int { return c.Running },
		"creating": func(c SessionCounts) int { return c.Creating },
		"lost":     func(c SessionCounts) int { return c.Lost },
	} {
		gauges = append(gauges, Gauge{
			Name: "sandgate_sessions", Help: "Sessions, by state.", Labels: map[string]string{"state": state},
			Value: func() float64 { return float64(count(sessions.Counts())) },
		})
	}
	return gauges
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

// refused counts a request that was not let in.
func (m *metrics) refused(err error) {
	m.refusals.WithLabelValues(connect.CodeOf(err).String()).Inc()
}
