package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/netutil"
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
	defaultMaxCalls    = 512
	forcedEnd          = 3 * time.Second // for calls to end once they are cancelled
	connectionShutdown = 5 * time.Second
)

// Options say what a server serves and how. Registry must be set.
type Options struct {
	// Registry holds the RPCs.
	Registry *Registry
	// Sessions are counted in the metrics. Nil: they are not.
	Sessions *Sessions
	// Logger gets one line a call. Nil means slog.Default.
	Logger *slog.Logger
	// MaxCalls bounds the calls that are served at once. Zero means 512.
	MaxCalls int
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
	// CertFile and KeyFile hold a TLS certificate and its key as PEM. Both empty: no TLS.
	CertFile, KeyFile string
}

// A Server serves a registry over Connect, gRPC and gRPC-Web on one port. Its methods may be called
// by any number of goroutines.
type Server struct {
	opts      Options
	http      *http.Server
	doors     doors
	routes    map[string]*route // by path
	mounts    map[string]*route // by path, or by what a path begins with
	onDrain   []func()
	ending    sync.Once // onDrain has been called
	admission *admission
	held      *budget // of request bodies
	ready     *readiness
	metrics   *metrics
	errors    *connect.ErrorWriter
	log       *slog.Logger
	stop      context.CancelFunc // cancels every call
}

// route is one path that is served under the bounds of an RPC.
type route struct {
	procedure string
	handler   http.Handler
	// streams tells that the request is a stream, whose length is not bounded here.
	streams bool
	// enveloped tells that request or reply is a stream, whose messages have envelopes.
	enveloped bool
	// gettable tells that the RPC may be called with GET.
	gettable bool
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
	if opts.MaxCalls == 0 {
		opts.MaxCalls = defaultMaxCalls
	}
	s := &Server{
		opts:      opts,
		doors:     newDoors(opts.AllowedHosts, opts.AllowedOrigins),
		admission: newAdmission(opts.MaxCalls),
		held:      &budget{most: maxHeldBytes},
		errors:    connect.NewErrorWriter(),
		log:       opts.Logger,
	}
	s.ready = newReadiness(opts.Checks, s.admission, opts.Logger)
	var err error
	if s.metrics, err = newMetrics(opts, s.admission); err != nil {
		return nil, err
	}
	s.routes = s.newRoutes()
	return s, s.newHTTP()
}

// newHTTP makes the HTTP server with its bounds.
func (s *Server) newHTTP() error {
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
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
			WriteByteTimeout:     writeTimeout,
		},
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if s.opts.CertFile == "" && s.opts.KeyFile == "" {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(s.opts.CertFile, s.opts.KeyFile)
	if err != nil {
		stop()
		return fmt.Errorf("load the TLS certificate: %w", err)
	}
	s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	return nil
}

// Handler returns what the server serves, for a listener of somebody else's.
func (s *Server) Handler() http.Handler { return s }

// Serve serves a listener, which must be a loopback one, until Shutdown, and closes it. It returns
// nil after Shutdown and an error when the listener fails.
func (s *Server) Serve(listener net.Listener) error {
	if err := checkLoopback(listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	bounded := gatherListener{netutil.LimitListener(listener, maxConnections)}
	var err error
	if s.http.TLSConfig != nil {
		err = s.http.ServeTLS(bounded, "", "")
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
// ctx's error where calls had to be cancelled. It leaves the sessions alone.
func (s *Server) Shutdown(ctx context.Context) error {
	s.admission.startDrain()
	s.ending.Do(func() {
		for _, end := range s.onDrain {
			end()
		}
	})
	err := s.admission.drain(ctx)
	s.stop()
	if err != nil {
		cancelled, cancel := context.WithTimeout(context.WithoutCancel(ctx), forcedEnd)
		defer cancel()
		err = errors.Join(err, s.admission.drain(cancelled))
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectionShutdown)
	defer cancel()
	if closeErr := s.http.Shutdown(closing); closeErr != nil {
		err = errors.Join(err, s.http.Close())
	}
	return err
}
