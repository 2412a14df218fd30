package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ownerLabel is the label by which `make clean` finds whatever Sandgate leaves on an engine.
const ownerLabel = "sandgate.owner"

// cleanTimeout bounds the removal of what was made.
const cleanTimeout = time.Minute

// engine runs the docker command. It may be used by any number of goroutines.
type engine struct {
	image  string
	owner  string // value of ownerLabel on the containers made here
	socket string // where the API answers
	floor  string // the floor's program
}

// engineSocket returns the path of the engine's socket from DOCKER_HOST.
func engineSocket(host string) (string, error) {
	if host == "" {
		return "/var/run/docker.sock", nil
	}
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok || path == "" {
		return "", fmt.Errorf("DOCKER_HOST is %q; the floor is measured over a unix:// socket only", host)
	}
	return path, nil
}

// docker runs one command and returns what it printed.
func (e *engine) docker(ctx context.Context, args ...string) (string, error) {
	return command(ctx, "docker", args...)
}

// command runs a program. When ctx ends it is interrupted, so that it can clean up after itself.
func command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// bareRun is the cold floor: `docker run` of a Python one-liner.
func (e *engine) bareRun(ctx context.Context, runtime string) error {
	out, err := e.docker(ctx, "run", "--rm", "--network", "none", "--runtime", runtime,
		"--label", ownerLabel+"="+e.owner, "--entrypoint", "python3", e.image, "-c", "print(1+1)")
	if err == nil && out != "2" {
		err = fmt.Errorf("docker run printed %q", out)
	}
	return err
}

// rootDir is the engine's folder on this machine.
func (e *engine) rootDir(ctx context.Context) (string, error) {
	return e.docker(ctx, "info", "--format", "{{.DockerRootDir}}")
}

// removeOwned removes every container of an owner and returns how many there were.
func (e *engine) removeOwned(ctx context.Context, owner string) (int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	listed, err := e.docker(ctx, "ps", "-aq", "--no-trunc", "--filter", "label="+ownerLabel+"="+owner)
	ids := strings.Fields(listed)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	_, err = e.docker(ctx, append([]string{"rm", "-f"}, ids...)...)
	if err != nil && strings.Contains(err.Error(), "already in progress") {
		err = nil // `docker run --rm` was about to
	}
	return len(ids), err
}

// build compiles a program of this module for the containers and the host alike.
func build(ctx context.Context, target, folder string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", target, folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("build %s: %w: %s", folder, err, bytes.TrimSpace(out)), ctx.Err())
	}
	return nil
}
