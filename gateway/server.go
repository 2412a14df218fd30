package gateway

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/netutil"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/quota"
)

// Bounds of the HTTP layer.
const (
	// MaxMessageBytes bounds one request message, compressed or not. It holds the largest field of
	// the API (4 MiB) in any of its encodings that a sane client writes.
	MaxMessageBytes = 8 << 20

	maxHeaderBytes     = 64 << 10
	maxStreams         = 250 // of one HTTP/2 connection
	readHeaderTimeout  = 10 * time.Second
	idleTimeout        = 2 * time.Minute
	pingAfter          = 30 * time.Second // of silence on an HTTP/2 connection
	pingTimeout        = 15 * time.Second
	writeTimeout       = time.Minute // for a client that takes nothing
	maxConnections     = 4096
	compressMinBytes   = 16 << 10 // below, compressing costs more than it saves
	defaultMaxCalls    = 2048
	forcedEnd          = 3 * time.Second // for calls to end once they are cancelled
	connectionShutdown = 5 * time.Second
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
	// something, 256 that touch files and 256 others.
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
	// Run is for code and commands, Files for what reads and writes files, Control for all else.
	Run, Files, Control int
}

// A Server serves a registry over Connect, gRPC and gRPC-Web on one port. Its methods may be called
// by any number of goroutines.
type Server struct {
	opts      Options
	http      *http.Server
	doors     doors
	access    access
	routes    map[string]*route // by path
	mounts    map[string]*route // by path, or by what a path begins with
	onDrain   []func()
	ending    sync.Once // onDrain has been called
	admission *admission
	gate      *turnstile
	held      *budget // of request bodies
	replies   *budget // of messages that are being written
	ready     *readiness
	metrics   *metrics
	openAPI   *openAPI
	errors    *connect.ErrorWriter
	log       *slog.Logger
	started   time.Time
	lines     *lineRate          // of failed calls in the log
	stop      context.CancelFunc // cancels every call

	metricsHTTP *http.Server // of the metrics' own listener
	pair        *tlsPair     // nil: no TLS
}

// route is one path that is served under the bounds of an RPC.
type route struct {
	procedure string
	handler   http.Handler
	// streams tells that the request is a stream, whose length is not bounded here.
	streams bool
	// enveloped tells that request or reply is a stream, whose messages have envelopes.
	enveloped bool
	// public tells that it is served without asking who calls.
	public bool
	// gettable tells that the RPC may be called with GET.
	gettable bool
	// kind tells which places it needs.
	kind quota.Kind
	// changes tells that the RPC has side effects, audited that its calls are written down.
	changes, audited bool
}

// NewServer makes a server. It starts nothing; Serve does.
func NewServer(opts Options) (*Server, error) {
	if opts.Registry == nil {
		return nil, errors.New("a server needs a registry")
	}
	if err := opts.Registry.Err(); err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Authenticator == nil {
		opts.Authenticator = anyone{}
	}
	if opts.Audit == nil {
		opts.Audit = noAudit{}
	}
	if opts.Accounts == nil {
		opts.Accounts = quota.NewFree()
	}
	if opts.Shared == nil {
		opts.Shared = func() bool { return false }
	}
	opts.MaxCalls = cmp.Or(opts.MaxCalls, defaultMaxCalls)
	if opts.maxMessageBytes == 0 {
		opts.maxMessageBytes = MaxMessageBytes
	}
	s := &Server{
		opts:      opts,
		doors:     newDoors(opts.AllowedHosts, opts.AllowedOrigins),
		access:    opts.Registry.access,
		admission: newAdmission(opts.MaxCalls, opts.Shared),
		gate: &turnstile{accounts: opts.Accounts, turns: quota.NewTurns(cmp.Or(opts.Places.Control, defaultControlPlaces),
			cmp.Or(opts.Places.Run, defaultRunPlaces), cmp.Or(opts.Places.Files, defaultFilePlaces), opts.Shared)},
		held:    &budget{of: "requests", most: maxHeldBytes},
		replies: &budget{of: "replies", most: maxReplyBytes},
		errors:  connect.NewErrorWriter(),
		log:     opts.Logger,
		started: time.Now(),
		lines:   &lineRate{log: opts.Logger},
	}
	opts.Registry.gate, opts.Registry.auditor = s.gate, opts.Audit
	s.ready = newReadiness(opts.Checks, s.admission, opts.Logger)
	var err error
	if opts.CertFile != "" || opts.KeyFile != "" {
		if s.pair, err = loadTLSPair(opts.CertFile, opts.KeyFile, opts.Logger); err != nil {
			return nil, err
		}
	}
	if s.metrics, err = newMetrics(opts, s.newGauges()); err != nil {
		return nil, err
	}
	if s.openAPI, err = newOpenAPI(opts.Registry); err != nil {
		return nil, err
	}
	s.metricsHTTP = s.newMetricsHTTP()
	s.routes = s.newRoutes()
	s.newHTTP()
	opts.Registry.operator.shows(s)
	return s, nil
}

// newHTTP makes the HTTP server with its bounds.
func (s *Server) newHTTP() {
	base, stop := context.WithCancel(context.Background())
	s.stop = stop
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           s,
		Protocols:         protocols,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      cmp.Or(s.opts.pingAfter, pingAfter),
			PingTimeout:          cmp.Or(s.opts.pingTimeout, pingTimeout),
			WriteByteTimeout:     writeTimeout,
		},
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if s.pair == nil {
		return
	}
	s.http.TLSConfig = newTLSConfig(s.pair, s.opts.ClientAuthorities)
}

// Handler returns what the server serves, for a listener of somebody else's.
func (s *Server) Handler() http.Handler { return s }

// Serve serves a listener, which must be a loopback one where anyone is let in, until Shutdown, and
// closes it. It returns nil after Shutdown and an error when the listener fails.
func (s *Server) Serve(listener net.Listener) error {
	if s.opts.Authenticator.Open() {
		if err := checkLoopback(listener.Addr()); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	bounded := gatherListener{netutil.LimitListener(listener, maxConnections)}
	var err error
	if s.pair != nil {
		watching, stop := context.WithCancel(context.Background())
		var watch sync.WaitGroup
		watch.Go(func() { s.pair.watch(watching) })
		err = s.http.ServeTLS(bounded, "", "")
		stop()
		watch.Wait()
	} else {
		err = s.http.Serve(bounded)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", listener.Addr(), err)
}

// Shutdown ends the server: it is no longer ready, new calls are refused, and running ones may end
// by themselves until ctx ends; then they are cancelled. It returns once everything is closed, with
// ctx's error where calls had to be cancelled. The journal is drained with it. It leaves the sessions alone.
func (s *Server) Shutdown(ctx context.Context) error {
	s.admission.startDrain()
	s.gate.turns.Close()
	failpoint.Reach(failpoint.Drain)
	s.ending.Do(func() {
		for _, end := range s.onDrain {
			end()
		}
	})
	err := s.admission.drain(ctx)
	if s.opts.Journal != nil { // calls whose callers have left
		err = errors.Join(err, s.opts.Journal.Drain(ctx))
	}
	s.stop()
	if err != nil {
		cancelled, cancel := context.WithTimeout(context.WithoutCancel(ctx), forcedEnd)
		defer cancel()
		err = errors.Join(err, s.admission.drain(cancelled))
	}
	s.lines.close()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectionShutdown)
	defer cancel()
	if closeErr := s.http.Shutdown(closing); closeErr != nil {
		err = errors.Join(err, s.http.Close())
	}
	return errors.Join(err, s.metricsHTTP.Close()) // last, so that the end can be watched
}
