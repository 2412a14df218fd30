package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of the listener for metrics. It may stand where others than the operator reach it.
const (
	metricsPath        = "/metrics"
	metricsConnections = 32
	metricsHeaderBytes = 16 << 10
	metricsReadTimeout = 10 * time.Second
	metricsTimeout     = 30 * time.Second // for writing a page, and between two of them
)

// newMetricsHTTP makes the server of the metrics' own listener. It has none of the front door's
// checks of names, since a scraper may know the host by any, and nothing but the one page.
func (s *Server) newMetricsHTTP() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, s.metrics.page)
	return &http.Server{
		Handler:        mux,
		ReadTimeout:    metricsReadTimeout,
		WriteTimeout:   metricsTimeout,
		IdleTimeout:    metricsTimeout,
		MaxHeaderBytes: metricsHeaderBytes,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// ServeMetrics serves `GET /metrics` on a listener of its own, whatever its address, until Shutdown,
// and closes it. The page names no caller, no session and no secret; it is served without TLS. It
// returns nil after Shutdown and an error when the listener fails.
func (s *Server) ServeMetrics(listener net.Listener) error {
	err := s.metricsHTTP.Serve(netutil.LimitListener(listener, metricsConnections))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve metrics on %s: %w", listener.Addr(), err)
}
