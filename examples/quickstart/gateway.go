package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 2 * time.Minute  // the first sandboxes may be made on a cold disk
	stopTimeout  = 45 * time.Second // what a gateway may take to end its sandboxes
	probeEvery   = 50 * time.Millisecond
)

// gateway is the gateway that the story uses, and ends with if it was started for it.
type gateway struct {
	url     string
	key     string    // empty: none is needed
	process *exec.Cmd // nil: somebody else's
	exited  chan error
	log     *bytes.Buffer
	state   string
}

// findGateway takes the gateway that SANDGATE_SERVER names, and starts one where that is not set: one that
// happens to run here is somebody's, and may have keys.
func findGateway(ctx context.Context, s *story) (*gateway, error) {
	if url := strings.TrimRight(os.Getenv("SANDGATE_SERVER"), "/"); url != "" {
		if !ready(ctx, url) {
			return nil, fmt.Errorf("no gateway is ready at SANDGATE_SERVER=%s; without that variable one is started here", url)
		}
		s.say("Using the gateway at %s.\n", url)
		return &gateway{url: url, key: os.Getenv("SANDGATE_KEY")}, nil
	}
	binary := filepath.Join("bin", "sandgate")
	if _, err := os.Stat(binary); err != nil {
		return nil, errors.New("there is no bin/sandgate to start a gateway from; `make run` builds it")
	}
	start := time.Now()
	g, err := startGateway(ctx, binary)
	if err != nil {
		return nil, err
	}
	s.say("Started a gateway at %s (%s).\n", g.url, since(start))
	return g, nil
}

// startGateway runs a gateway on a free port with a state of its own, and waits until it is ready.
func startGateway(ctx context.Context, binary string) (*gateway, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	state, err := os.MkdirTemp("", "sandgate-quickstart-")
	if err != nil {
		return nil, err
	}
	g := &gateway{url: "http://" + address, state: state, exited: make(chan error, 1), log: &bytes.Buffer{}}
	// Not CommandContext: it would kill the gateway before that has removed its sandboxes.
	g.process = exec.Command(binary, "serve", //nolint:noctx // see above
		"--config", os.DevNull, "--listen", address, "--state-dir", state, "--log-level", "warn")
	g.process.Env = withoutSettings(os.Environ())
	g.process.Stdout, g.process.Stderr = g.log, g.log
	// Ctrl-C at the terminal goes to us; we end the gateway when the session is gone.
	g.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := g.process.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(state))
	}
	go func() { g.exited <- g.process.Wait() }()
	if err := g.waitReady(ctx); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// withoutSettings is an environment without the settings of a gateway but those of its sandboxes: the
// others are meant for another one, whose database, ports or certificate ours must not take.
func withoutSettings(environ []string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "SANDGATE_IMAGE", "SANDGATE_RUNTIME", "SANDGATE_CGROUP_PARENT":
			return false
		}
		return strings.HasPrefix(name, "SANDGATE_")
	})
}

// freeAddress asks the system for a loopback port that nobody uses.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// waitReady waits until the gateway serves.
func (g *gateway) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for !ready(ctx, g.url) {
		select {
		case err := <-g.exited:
			g.exited <- err // for Close
			return fmt.Errorf("the gateway ended: %w\n%s", err, g.log)
		case <-ctx.Done():
			return fmt.Errorf("the gateway did not get ready: %w", ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// ready asks a gateway whether it serves.
func ready(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody) //nolint:gosec // the user names the gateway
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return false
	}
	_ = response.Body.Close() // nothing of it is wanted
	return response.StatusCode == http.StatusOK
}

// Close stops the gateway, if it was started here, and waits until its sandboxes are gone.
func (g *gateway) Close() error {
	if g.process == nil {
		return nil
	}
	err := g.process.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case exit := <-g.exited:
		if exit != nil {
			err = errors.Join(err, fmt.Errorf("the gateway ended: %w\n%s", exit, g.log))
		}
	case <-timer.C:
		err = errors.Join(err, errors.New("the gateway did not stop in time and was killed"), g.process.Process.Kill(), <-g.exited)
	}
	return errors.Join(err, os.RemoveAll(g.state))
}
