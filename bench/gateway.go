package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute
	stopTimeout  = 2 * time.Minute // longer than a gateway gives itself
	probeEvery   = 20 * time.Millisecond
	maxAnswer    = 1 << 20 // of /readyz and /metrics
)

// gateway is `sandgate serve`, started for one row and ended after it.
type gateway struct {
	url     string
	engine  *engine
	process *exec.Cmd
	exited  chan error
	dir     string // holds the state, the log and an empty configuration
	client  *http.Client
	metrics string            // the URL of the metrics, which have a port of their own
	keys    map[string]string // by tenant
}

// startGateway runs a gateway on a free loopback port, with a state of its own and so many warm
// `python` sandboxes, which allows so many sessions, and waits until it is ready.
func startGateway(ctx context.Context, e *engine, binary, runtime string, pool, sessions int) (_ *gateway, err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sandgate-bench-")
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress(ctx)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	g := &gateway{
		url: "http://" + address, metrics: "http://" + metrics, engine: e, dir: dir, exited: make(chan error, 1),
		client: &http.Client{Transport: new(http.Transport)}, keys: map[string]string{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close(ctx))
		}
	}()
	// An operator's own configuration of this machine must not change what is measured.
	if err := os.WriteFile(g.configFile(), nil, 0o600); err != nil {
		return nil, err
	}
	for _, tenant := range []string{measured, noisy} {
		if g.keys[tenant], err = g.makeKey(ctx, binary, tenant); err != nil {
			return nil, err
		}
	}
	if err := g.start(address, metrics, binary, runtime, pool, sessions); err != nil {
		return nil, err
	}
	return g, g.waitReady(ctx)
}

func (g *gateway) start(address, metrics, binary, runtime string, pool, sessions int) error {
	log, err := os.Create(g.logFile())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	// Not CommandContext: it would kill the gateway before that has removed its sandboxes.
	g.process = exec.Command(binary, "serve", "--config", g.configFile(), "--listen", address, //nolint:noctx // see above
		"--metrics-listen", metrics, "--tenant-runtime", "any", "--state-dir", g.stateDir(), "--runtime", runtime, "--image", g.engine.image,
		"--pool-python", strconv.Itoa(pool), "--pool-data", "0", "--drain-timeout", "5s",
		"--max-sessions", strconv.Itoa(sessions))
	g.process.Env = withoutSettings(os.Environ())
	g.process.Stdout, g.process.Stderr = log, log
	// Ctrl-C at the terminal goes to us; we end the gateway when the row has let go of it.
	g.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := g.process.Start(); err != nil {
		g.process = nil
		return fmt.Errorf("start the gateway: %w", err)
	}
	go func() { g.exited <- g.process.Wait() }()
	return nil
}

func (g *gateway) logFile() string    { return filepath.Join(g.dir, "log") }
func (g *gateway) configFile() string { return filepath.Join(g.dir, "config.yaml") }
func (g *gateway) stateDir() string   { return filepath.Join(g.dir, "state") }

// withoutSettings drops what would configure a gateway from an environment.
func withoutSettings(environment []string) []string {
	var kept []string
	for _, variable := range environment {
		if !strings.HasPrefix(variable, "SANDGATE_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// freeAddress asks the system for a loopback port that nobody uses.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// newTransport returns connections that are nobody else's, which speak HTTP/2 without TLS.
func newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: protocols}
}

// waitReady waits until the gateway serves.
func (g *gateway) waitReady(ctx context.Context) error {
	return g.await(ctx, "get ready", func(ctx context.Context) bool {
		_, err := g.page(ctx, "/readyz")
		return err == nil
	})
}

// waitFull waits until so many sandboxes are warm.
func (g *gateway) waitFull(ctx context.Context, pool int) error {
	return g.await(ctx, "fill its pool", func(ctx context.Context) bool {
		page, err := g.page(ctx, "/metrics")
		return err == nil && gauge(page, `sandgate_pool_ready{template="python"}`) >= float64(pool)
	})
}

// gauge returns the value of a series on a page of metrics, and 0 where it is not there.
func gauge(page, series string) float64 {
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err == nil {
				return value
			}
		}
	}
	return 0
}

// await asks again and again until the gateway is as wanted, has ended, or was given time enough.
func (g *gateway) await(ctx context.Context, what string, reached func(ctx context.Context) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the gateway did not %s in %s", what, startTimeout))
	defer cancel()
	for !reached(ctx) {
		select {
		case err := <-g.exited:
			g.exited <- err // for Close
			return fmt.Errorf("the gateway did not %s: it ended: %w\n%s", what, err, g.logTail())
		default:
		}
		if err := pause(ctx, probeEvery); err != nil {
			return err
		}
	}
	return nil
}

// page fetches a page of the gateway.
func (g *gateway) page(ctx context.Context, path string) (string, error) {
	base := g.url
	if path == "/metrics" {
		base = g.metrics
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := g.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // only read from
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", path, response.Status)
	}
	return string(body), err
}

// logTail is the end of what the gateway said.
func (g *gateway) logTail() []byte {
	log, err := os.ReadFile(g.logFile())
	if err != nil {
		return nil
	}
	const enough = 2 << 10
	return bytes.TrimSpace(log[max(0, len(log)-enough):])
}

// pid is the gateway's process.
func (g *gateway) pid() int { return g.process.Process.Pid }

// Close ends the gateway with all its sessions, and checks that no container of its is left.
func (g *gateway) Close(ctx context.Context) error {
	g.client.CloseIdleConnections()
	err := g.stop()
	if deployment, readErr := os.ReadFile(filepath.Join(g.stateDir(), "deployment")); readErr == nil {
		left, removeErr := g.engine.removeOwned(ctx, strings.TrimSpace(string(deployment)))
		err = errors.Join(err, removeErr)
		if left > 0 {
			err = errors.Join(err, fmt.Errorf("the gateway left %d containers behind; they were removed\n%s", left, g.logTail()))
		}
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// stop asks the gateway to end, and kills it where it does not.
func (g *gateway) stop() error {
	if g.process == nil {
		return nil
	}
	if err := g.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case err := <-g.exited:
		if err != nil {
			return fmt.Errorf("the gateway ended: %w\n%s", err, g.logTail())
		}
		return nil
	case <-timer.C:
		killed := g.process.Process.Kill()
		return errors.Join(errors.New("the gateway did not stop in time and was killed"), killed, <-g.exited)
	}
}
