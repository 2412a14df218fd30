package docker

import (
	"errors"
	"log/slog"
	"time"
)

// Options configure a [Driver].
type Options struct {
	// Host is the engine's address, such as unix:///var/run/docker.sock. Empty means what DOCKER_HOST
	// and its kin say, or else the platform's default.
	Host string
	// Image is the sandbox image, by name or content id. Required.
	Image string
	// Owner names the deployment. A driver never touches a container of another owner. Required.
	Owner string
	// Epoch must be greater than that of every earlier driver of this owner. Zero means the present
	// time in nanoseconds.
	Epoch uint64
	// MaxCreating bounds how many sandboxes are made at once; more wait. Zero means 4.
	MaxCreating int
	// CgroupParent puts all sandboxes under one cgroup, whose ceilings the operator sets. Empty means
	// the engine's default.
	CgroupParent string
	// OrphanTimeout is how long a sandbox lives while no gateway holds it. Zero means one minute.
	OrphanTimeout time.Duration
	// Log receives what nobody else is told. Nil means the default logger.
	Log *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Image == "" || o.Owner == "" {
		return o, errors.New("docker driver: image and owner are required")
	}
	if o.Epoch == 0 {
		o.Epoch = uint64(time.Now().UnixNano())
	}
	if o.MaxCreating <= 0 {
		o.MaxCreating = defaultMaxCreating
	}
	if o.OrphanTimeout <= 0 {
		o.OrphanTimeout = defaultOrphanTimeout
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, nil
}
