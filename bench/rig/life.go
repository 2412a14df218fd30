package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/gateway/failpoint"
)

const (
	stopTimeout = 90 * time.Second // longer than a gateway gives itself
	logTail     = 4 << 10
)

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
