package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Labels of containers, as sandbox/docker writes them.
const (
	ownerLabel = "sandgate.owner"
	epochLabel = "sandgate.epoch"
)

// engineTimeout bounds one command to the engine.
const engineTimeout = time.Minute

// docker runs one command of the engine and returns what it printed, also when ctx has ended.
func docker(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), engineTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, bytes.TrimSpace(errs.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}

// A Container is one that the gateway made, in this life or an earlier one.
type Container struct {
	// ID names it.
	ID string
	// Made is when the gateway was started that made it.
	Made time.Time
}

// Containers are the gateway's containers, whatever their state.
func (g *Gateway) Containers(ctx context.Context) ([]Container, error) {
	owner, err := os.ReadFile(filepath.Join(g.StateDir(), "deployment"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it never got so far
	}
	if err != nil {
		return nil, err
	}
	out, err := docker(ctx, "ps", "-a", "--no-trunc", "--filter", "label="+ownerLabel+"="+strings.TrimSpace(string(owner)),
		"--format", `{{.ID}} {{.Label "`+epochLabel+`"}}`)
	var all []Container
	for line := range strings.Lines(out) {
		id, epoch, _ := strings.Cut(strings.TrimSpace(line), " ")
		nanos, _ := strconv.ParseInt(epoch, 10, 64) // zero, which is long ago, for one that says nothing
		all = append(all, Container{ID: id, Made: time.Unix(0, nanos)})
	}
	return all, err
}

// Remove removes a container by force.
func Remove(ctx context.Context, id string) error {
	_, err := docker(ctx, "rm", "-f", id)
	return err
}

// Written is how many bytes the gateway's containers have on the engine's disk beside their image.
func (g *Gateway) Written(ctx context.Context) (float64, error) {
	found, err := g.Containers(ctx)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	args := []string{"inspect", "--size", "--format", "{{.SizeRw}}"}
	for _, one := range found {
		args = append(args, one.ID)
	}
	out, err := docker(ctx, args...)
	total := 0.0
	for text := range strings.FieldsSeq(out) {
		n, parseErr := strconv.ParseFloat(text, 64)
		total += n
		err = errors.Join(err, parseErr)
	}
	return total, err
}

// A Foreigner is a container that is none of the gateway's.
type Foreigner struct {
	id, started string
}

// NewForeigners starts two containers that no gateway may touch: one without any label of Sandgate's,
// and one that another deployment might have made. Remove them.
func NewForeigners(ctx context.Context, image string) ([]*Foreigner, error) {
	var all []*Foreigner
	for _, labels := range [][]string{
		{"--label", "example.foreign=1"},
		{"--label", ownerLabel + "=somebody-else", "--label", epochLabel + "=1"},
	} {
		args := append([]string{"run", "-d", "--network", "none", "--entrypoint", "sleep"}, labels...)
		id, err := docker(ctx, append(args, image, "86400")...)
		if err != nil {
			return all, err
		}
		one := &Foreigner{id: id}
		all = append(all, one)
		if one.started, err = one.state(ctx); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (f *Foreigner) state(ctx context.Context) (string, error) {
	return docker(ctx, "inspect", "--format", "{{.State.Running}} {{.State.StartedAt}}", f.id)
}

// Untouched returns an error where the container is not as it was made.
func (f *Foreigner) Untouched(ctx context.Context) error {
	now, err := f.state(ctx)
	if err == nil && now != f.started {
		err = fmt.Errorf("a container that is not the gateway's was touched: %q is now %q", f.started, now)
	}
	return err
}

// Remove removes the container.
func (f *Foreigner) Remove(ctx context.Context) error { return Remove(ctx, f.id) }

// Build compiles the sandgate program with build tags to a file.
func Build(ctx context.Context, target, tags string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", tags, "-o", target, "github.com/sandgate/sandgate/cmd/sandgate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("build sandgate: %w: %s", err, bytes.TrimSpace(out)), ctx.Err())
	}
	return nil
}
