package gateway

import (
	"context"
	"maps"
	"slices"
)

// newGauges returns what the server knows of itself at the moment of a scrape.
func (s *Server) newGauges() []Gauge {
	gauges := []Gauge{
		{
			Name: "sandgate_calls_running", Help: "RPCs being served.",
			Value: func() float64 { return float64(s.admission.calls()) },
		},
		{
			Name: "sandgate_calls_max", Help: "RPCs that are served at once at most.",
			Value: func() float64 { return float64(s.admission.most) },
		},
	}
	if s.pair != nil {
		gauges = append(gauges, Gauge{
			Name: "sandgate_tls_certificate_expiry_seconds", Help: "Unix time at which the TLS certificate that is served runs out.",
			Value: s.pair.expiry,
		})
	}
	gauges = append(gauges, s.readyGauges()...)
	if s.opts.Sessions == nil {
		return gauges
	}
	return append(gauges, s.opts.Sessions.gauges()...)
}

// readyGauges show what /readyz says, check by check.
func (s *Server) readyGauges() []Gauge {
	var gauges []Gauge
	for _, check := range append(slices.Sorted(maps.Keys(s.opts.Checks)), checkAccepting) {
		gauges = append(gauges, Gauge{
			Name: "sandgate_ready", Help: "1 where a check of /readyz passes.", Labels: map[string]string{"check": check},
			Value: func() float64 {
				// The checks bound themselves, and their answer serves all that ask within a second.
				if _, checks := s.ready.state(context.Background()); checks[check] {
					return 1
				}
				return 0
			},
		})
	}
	return gauges
}

// gauges count the sessions.
func (s *Sessions) gauges() []Gauge {
	gauges := []Gauge{{
		Name: "sandgate_sessions_max", Help: "Sessions that run at once at most.",
		Value: func() float64 { return float64(s.opts.MaxSessions) },
	}}
	for state, count := range map[string]func(SessionCounts) int{
		"running":  func(c SessionCounts) int { return c.Running },
		"creating": func(c SessionCounts) int { return c.Creating },
		"lost":     func(c SessionCounts) int { return c.Lost },
	} {
		gauges = append(gauges, Gauge{
			Name: "sandgate_sessions", Help: "Sessions, by state.", Labels: map[string]string{"state": state},
			Value: func() float64 { return float64(count(s.Counts())) },
		})
	}
	return gauges
}
