package gateway

import (
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/sandgate/sandgate/gateway/journal"
)

// Options say what a server serves and how. Registry must be set.
type Options struct {
	// Registry holds the RPCs.
	Registry *Registry
	// Sessions are counted in the metrics. Nil: they are not.
	Sessions *Sessions
	// Authenticator says who calls. Nil: anyone may, as one tenant.
	Authenticator Authenticator
	// Journal gets the tool calls that carry no call_id, once they have ended. Nil: they are not noted.
	Journal *journal.Journal
	// Audit keeps a record of who did what; while it cannot, calls with side effects are refused. Nil:
	// nothing is kept.
	Audit Auditor
	// Logger gets one line a call. Nil means slog.Default.
	Logger *slog.Logger
	// Accounts have what tenants use. Nil: nobody counts, and there are no limits.
	Accounts Accounts
	// Shared tells whether several tenants may come, so that none may take what others need. Nil: no.
	Shared func() bool
	// MaxCalls bounds the calls that are there at once, those included that wait. Zero means 2048.
	MaxCalls int
	// Places bound the calls of each kind that are served at once. Zero fields mean 512 that run
	// something, 256 that touch files, 4 that read documents and 256 others.
	Places Places
	// AllowedHosts are the names, without port, under which the gateway may be addressed besides
	// the loopback ones.
	AllowedHosts []string
	// AllowedOrigins are the web origins, such as `https://console.example`, whose pages may call
	// the gateway. Requests with any other Origin are refused.
	AllowedOrigins []string
	// Checks decide together with draining whether the gateway is ready, by name.
	Checks map[string]Readiness
	// Gauges are shown in the metrics besides the gateway's own.
	Gauges []Gauge
	// Collectors are shown in the metrics, too. Their labels must take their values from closed lists.
	Collectors []prometheus.Collector
	// MetricsApart keeps the metrics off the server's own port: they are served by ServeMetrics alone.
	MetricsApart bool
	// Tracer makes a span of each call. Nil: there are no spans, and none is paid for.
	Tracer trace.Tracer
	// CertFile and KeyFile hold a TLS certificate and its key as PEM. Both empty: no TLS. While the
	// server serves, it looks at them every few seconds and serves what is new in them.
	CertFile, KeyFile string
	// Version is what the overview calls this program. May be empty.
	Version string
	// Pool says how full the pool is, for the overview, at any moment. Nil: there is none.
	Pool func() []PoolFill
	// ClientAuthorities returns those whose client certificates are accepted, for each handshake. Whom
	// such a certificate lets in is for the Authenticator to say. Nil: clients are not asked for any.
	ClientAuthorities func() *x509.CertPool
	// maxMessageBytes is less than MaxMessageBytes in a test. Zero means MaxMessageBytes.
	maxMessageBytes int
	// pingAfter and pingTimeout are shorter in a test. Zero means the constants.
	pingAfter, pingTimeout time.Duration
}

// Places are how many calls of each kind are served at once.
type Places struct {
	// Run is for code and commands, Files for what reads and writes files, Documents for what reads
	// documents, Control for all else.
	Run, Files, Documents, Control int
}
