package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/netutil"

	"github.com/sandgate/sandgate/gateway/failpoint"
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
	lines     *lineRate // of failed calls in the log
	stop      func()    // cancels every call

	metricsHTTP *http.Server // of the metrics' own listener
	pair        *tlsPair     // nil: no TLS
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
			cmp.Or(opts.Places.Run, defaultRunPlaces), cmp.Or(opts.Places.Files, defaultFilePlaces),
			cmp.Or(opts.Places.Documents, defaultDocumentPlaces), opts.Shared)},
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
	base, stop := context.WithCancelCause(context.Background())
	s.stop = func() { stop(errStopped) }
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
