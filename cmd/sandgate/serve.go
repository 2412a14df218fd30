package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/cmd/sandgate/internal/telemetry"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/sandbox/gather"
)

// endTimeout bounds what is done after the last call has ended: killing every sandbox, and more of
// them than fit in it are left to the next start.
const endTimeout = 60 * time.Second

// serveCommand is `sandgate serve`.
func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the gateway",
		GroupID: groupRun,
		Args:    noArguments,
		Long: `Answers Connect, gRPC and gRPC-Web on one loopback port, and runs what it is asked to
in sandboxes of the Docker engine. It refuses to start on a host that "sandgate doctor"
finds unfit.

SIGTERM, Ctrl-C or a closed terminal ends it: running calls may end within
drain_timeout, then every session is deleted. A second signal ends it at once; the next
start on the same state folder takes over or removes what was left.

` + configLong,
		Example: `  sandgate serve
  sandgate serve --listen 127.0.0.1:8080 --state-dir /srv/sandgate
  SANDGATE_POOL_DATA=4 sandgate serve --config sandgate.yaml --log-format json`,
	}
	settings := addSettings(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := settings.load(a)
		if err != nil {
			return err
		}
		return a.serve(cmd.Context(), &loaded.Config)
	}
	return cmd
}

// leaveProcessors lets the gateway run on half of the processors, one at least, unless GOMAXPROCS is
// set. It mostly hands bytes on, while the other half is busy with the sandboxes: spread over all of
// them, its threads spend their time waking one another (docs/rationale.md, 18).
func leaveProcessors(env func(string) (string, bool)) {
	if _, set := env("GOMAXPROCS"); !set {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}

// serve runs a gateway until it is told to end.
func (a *app) serve(ctx context.Context, cfg *config.Config) error {
	leaveProcessors(a.env)
	lines := gather.New(lossy{a.err}) // a call does not wait for its log line
	defer func() { _ = lines.Flush() }()
	log := newLogger(lines, cfg)
	ctx, stop := signal.NotifyContext(ctx, endSignals()...)
	defer stop()
	traces, err := telemetry.Start(ctx, telemetry.Env(a.env), buildVersion(), log)
	if err != nil {
		return err
	}
	defer traces.Close(context.WithoutCancel(ctx))
	g, err := openGateway(ctx, cfg, log, traces.Tracer())
	if err != nil {
		if ctx.Err() != nil {
			return exitError{code: exitInterrupted}
		}
		return err
	}
	ended, running := g.start()
	a.announce(cfg, g)
	select {
	case err = <-ended:
		running--
	case <-ctx.Done():
		log.Info("ending: calls may finish, a second signal ends at once", "drain_timeout", cfg.DrainTimeout)
	}
	stop() // from here on a signal has its ordinary effect: it kills us
	err = errors.Join(err, g.close(context.WithoutCancel(ctx)))
	for range running {
		err = errors.Join(err, <-ended)
	}
	return err
}

// endSignals are those that end the gateway in good order. A closed terminal does, too, unless it was
// told not to, as by nohup.
func endSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// announce says where the gateway answers.
func (a *app) announce(cfg *config.Config, g *gatewayParts) {
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	_, _ = fmt.Fprintf(a.out, "Sandgate %s serves %s://%s, sandboxes run on %s.\n",
		buildVersion(), scheme, g.listener.Addr(), g.runtime) // for people; programs ask /readyz
	if g.metricsListener != nil {
		g.log.Info("serving metrics", "address", g.metricsListener.Addr().String())
	}
	if failpoint.Built {
		g.log.Warn("this program was built with failpoints: it is for crash tests only")
	}
	switch open := g.keys.gate.Open(); {
	case open:
		g.log.Warn("there are no keys: whoever reaches this loopback port may use it; `sandgate key create` makes one")
	case cfg.TLSCert == "" && !isLoopback(g.listener.Addr()):
		g.log.Warn("keys cross the network in the clear: set tls_cert and tls_key, or let a proxy in front serve TLS")
	}
	g.log.Info("serving", "address", g.listener.Addr().String(), "runtime", g.runtime, "deployment", g.state.deployment, "version", buildVersion())
}

// isLoopback tells whether only programs of this host reach an address.
func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// lossy is a writer that goes on after a write that failed: the next log line may fare better.
type lossy struct{ io.Writer }

func (w lossy) Write(p []byte) (int, error) {
	_, _ = w.Writer.Write(p)
	return len(p), nil
}

// newLogger makes the logger that the configuration asks for.
func newLogger(w io.Writer, cfg *config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo // the configuration was checked
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// teardown closes things in the reverse order of their making.
type teardown struct {
	steps []struct {
		name string
		do   func(ctx context.Context) error
	}
}

// add notes how to undo what was just done.
func (t *teardown) add(name string, do func(ctx context.Context) error) {
	t.steps = append(t.steps, struct {
		name string
		do   func(ctx context.Context) error
	}{name, do})
}

// run undoes everything, whatever fails on the way.
func (t *teardown) run(ctx context.Context) error {
	var errs []error
	for _, step := range slices.Backward(t.steps) {
		if err := step.do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	t.steps = nil
	return errors.Join(errs...)
}

// listen opens the port. It is the last thing that is opened, so that nobody is let in before the
// sandboxes of an earlier gateway are settled.
func listen(ctx context.Context, cfg *config.Config, open bool) (net.Listener, error) {
	listener, err := gateway.Listen(ctx, cfg.Listen, open)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hintError{
			err:  fmt.Errorf("something answers on %s already", cfg.Listen),
			hint: "stop it, or choose another address with --listen",
		}
	}
	if errors.Is(err, gateway.ErrNotLoopback) {
		return nil, hintError{err: usageError{err: err}, hint: "make a key first: `sandgate key create`"}
	}
	return listener, err
}
