// Package rig starts a real gateway for the programs that try its patience: it kills and restarts it
// on the same state, speaks to it as its clients do, and looks at what it left on the engine.
package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/gateway/failpoint"
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
