// Package rig starts a real gateway for the programs that try its patience: it kills and restarts it
// on the same state, speaks to it as its clients do, and looks at what it left on the engine.
package rig

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
	"sync"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/gateway/failpoint"
)

const (
	stopTimeout = 90 * time.Second // longer than a gateway gives itself
	probeEvery  = 5 * time.Millisecond
	maxPage     = 1 << 20
	logTail     = 4 << 10
)

// Options say which gateway is tried.
type Options struct {
	// Binary is the sandgate program. Failpoints need one that was built with them.
	Binary string
	// Runtime and Image are what its sandboxes are made of.
	Runtime, Image string
	// Pool is how many sandboxes of template python are kept warm.
	Pool int
	// Args are more arguments of `sandgate serve`.
	Args []string
}

// A Gateway is `sandgate serve` on one folder and one port, through any number of lives. It is used
// by one goroutine, but for Client, Page and Alive. Close it.
type Gateway struct {
	// URL is where it answers.
	URL string

	opts    Options
	dir     string
	address string
	metrics string
	client  *http.Client

	started time.Time // the present life

	mu     sync.Mutex
	exited chan struct{} // closed when the present life has ended; nil before the first; guarded by mu
	err    error         // how it ended; written before exited is closed
	cmd    *exec.Cmd
}

// New prepares a gateway with a folder of its own. It is not started.
func New(ctx context.Context, opts Options) (*Gateway, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sandgate-rig-")
	if err != nil {
		return nil, err
	}
	// An operator's own configuration of this machine must not change what is tried.
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), nil, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Gateway{URL: "http://" + address, opts: opts, dir: dir, address: address, metrics: metrics, client: &http.Client{Transport: new(http.Transport)}}, nil
}

// freeAddress asks the system for a loopback port that nobody uses.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// StateDir is its folder of state.
func (g *Gateway) StateDir() string { return filepath.Join(g.dir, "state") }

// settings are the arguments that its commands share.
func (g *Gateway) settings() []string {
	return []string{"--config", filepath.Join(g.dir, "config.yaml"), "--state-dir", g.StateDir()}
}

// command prepares one of the program's commands, with points armed.
func (g *Gateway) command(points string, args ...string) *exec.Cmd {
	cmd := exec.Command(g.opts.Binary, append(args, g.settings()...)...) //nolint:noctx // it ends by Terminate or Kill
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SANDGATE_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	if points != "" {
		cmd.Env = append(cmd.Env, failpoint.Env+"="+points)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	return cmd
}

// Start begins a life, with failpoints armed where points is not empty. The one before must have ended.
func (g *Gateway) Start(points string) error {
	log, err := os.Create(g.logFile())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	args := append([]string{
		"serve", "--listen", g.address, "--metrics-listen", g.metrics, "--runtime", g.opts.Runtime, "--image", g.opts.Image,
		"--tenant-runtime", "any", "--pool-python", strconv.Itoa(g.opts.Pool), "--pool-data", "0",
	}, g.opts.Args...)
	cmd := g.command(points, args...)
	cmd.Stdout, cmd.Stderr = log, log
	g.started = time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	exited := make(chan struct{})
	g.mu.Lock()
	g.cmd, g.exited = cmd, exited
	g.mu.Unlock()
	go func() {
		g.err = cmd.Wait()
		close(exited)
	}()
	return nil
}

func (g *Gateway) logFile() string { return filepath.Join(g.dir, "log") }

// Log is the end of what the present life has said, 4 KiB at most.
func (g *Gateway) Log() string {
	text, err := os.ReadFile(g.logFile())
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-logTail):]))
}

// Reached tells whether the present life has come to a failpoint that was armed.
func (g *Gateway) Reached(point failpoint.Point) bool {
	return strings.Contains(g.Log(), "failpoint "+string(point)+" reached")
}

// Exited is closed when the present life has ended.
func (g *Gateway) Exited() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.exited
}

// Alive tells whether it runs.
func (g *Gateway) Alive() bool {
	exited := g.Exited()
	if exited == nil {
		return false
	}
	select {
	case <-exited:
		return false
	default:
		return true
	}
}

// Started is when the present life began.
func (g *Gateway) Started() time.Time { return g.started }

// PID is the process of the present life.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// Kill ends the present life at once and waits for its end.
func (g *Gateway) Kill() error {
	if !g.Alive() {
		return nil
	}
	if err := g.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-g.Exited()
	return nil
}

// Terminate asks the present life to end and returns how it did.
func (g *Gateway) Terminate() error {
	if !g.Alive() {
		return g.err
	}
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-g.Exited():
		return g.err
	case <-timer.C:
		return errors.Join(errors.New("the gateway did not stop in time and was killed"), g.Kill())
	}
}

// Await asks again and again until the gateway is as wanted, and returns how long that took. It fails
// when the gateway ends or the time is up.
func (g *Gateway) Await(ctx context.Context, what string, limit time.Duration, reached func(ctx context.Context) bool) (time.Duration, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the gateway did not %s in %s\n%s", what, limit, g.Log()))
	defer cancel()
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for !reached(ctx) {
		select {
		case <-g.Exited():
			return 0, fmt.Errorf("the gateway did not %s: it ended: %w\n%s", what, errors.Join(g.err, ErrEnded), g.Log())
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return time.Since(start), nil
}

// ErrEnded is wrapped where the gateway ended that was waited for.
var ErrEnded = errors.New("the gateway has ended")

// Ready waits until /readyz says so, and returns how long that took.
func (g *Gateway) Ready(ctx context.Context, limit time.Duration) (time.Duration, error) {
	return g.Await(ctx, "get ready", limit, func(ctx context.Context) bool {
		_, err := g.page(ctx, g.URL+"/readyz")
		return err == nil
	})
}

// Gauge returns the value of a series of its metrics.
func (g *Gateway) Gauge(ctx context.Context, series string) (float64, error) {
	page, err := g.page(ctx, "http://"+g.metrics+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(text), 64)
		}
	}
	return 0, fmt.Errorf("the metrics have no %s", series)
}

// page fetches a page.
func (g *Gateway) page(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := g.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // only read from
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", url, response.Status)
	}
	return string(body), err
}

// Close ends the gateway, removes its folder and what it left on the engine, and fails where that was
// anything.
func (g *Gateway) Close(ctx context.Context) error {
	var err error
	if g.Alive() {
		err = g.Terminate()
	}
	g.client.CloseIdleConnections()
	left, listErr := g.Containers(context.WithoutCancel(ctx))
	for _, one := range left {
		err = errors.Join(err, fmt.Errorf("the gateway left the container %s behind", one.ID), Remove(ctx, one.ID))
	}
	return errors.Join(err, listErr, os.RemoveAll(g.dir))
}
