// Package deferred makes sandboxes that begin without one: a sandbox of this package answers for its files
// from a workspace in the file server's own store, and has a real sandbox made, with these files in it, when
// something first runs. Whoever calls it need not know. See [github.com/sandgate/sandgate/fileserver/store].
package deferred

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/store"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// idPrefix begins the id of every sandbox of this package, which no engine gives.
const idPrefix = "deferred-"

// maxRequestBytes bounds one message to the store: the gateway has bounded it before.
const maxRequestBytes = 64 << 20

// defaultCreateTimeout is for making a real sandbox and for moving the files into it.
const defaultCreateTimeout = 2 * time.Minute

// Options configure a [Driver]. Driver and Folder must be set.
type Options struct {
	// Driver makes the real sandboxes.
	Driver sandbox.Driver
	// Folder holds the workspaces, a directory each, and nothing else. It is made if there is none.
	Folder string
	// KeepFree is how many bytes of the folder's disk are left to others: workspaces are full before. Zero: none.
	KeepFree int64
	// Timeout bounds the making of a real sandbox and the moving of the files. Zero means 2 min.
	Timeout time.Duration
	// Log receives what no caller is told. Nil means the default logger.
	Log *slog.Logger
}

// Driver makes sandboxes that begin without one. It is a [sandbox.Driver].
type Driver struct {
	opts    Options
	handler http.Handler // of the files of all sandboxes
	disk    store.Disk
}

// New returns a driver.
func New(opts Options) (*Driver, error) {
	if opts.Driver == nil || opts.Folder == "" {
		return nil, errors.New("deferred sandboxes need a driver and a folder")
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultCreateTimeout
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if err := os.MkdirAll(opts.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of workspaces: %w", err)
	}
	_, handler := sandgatev1connect.NewFileServiceHandler(service{}, connect.WithReadMaxBytes(maxRequestBytes), connect.WithRecover(opts.recovered))
	return &Driver{opts: opts, handler: handler, disk: store.Disk{Folder: opts.Folder, Free: opts.KeepFree}}, nil
}

// Create makes a sandbox that is nothing but an empty workspace.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	spec.Limits, spec.Deferred = spec.Limits.WithDefaults(), false
	id := idPrefix + strings.ToLower(rand.Text())
	if err := os.Mkdir(filepath.Join(d.opts.Folder, id), 0o700); err != nil {
		return nil, fmt.Errorf("make a workspace: %w", err)
	}
	if err := writeRecord(d.opts.Folder, id, record{Spec: spec}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(filepath.Join(d.opts.Folder, id)))
	}
	b, err := d.open(id, spec)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(filepath.Join(d.opts.Folder, id)))
	}
	return b, nil
}

// open returns the sandbox of a workspace.
func (d *Driver) open(id string, spec sandbox.Spec) (*box, error) {
	b := &box{driver: d, id: id, spec: spec, done: make(chan struct{})}
	files, err := d.workspace(id, spec)
	if err != nil {
		return nil, err
	}
	b.local.handler, b.local.files = d.handler, files
	return b, nil
}

// workspace opens the files of a sandbox.
func (d *Driver) workspace(id string, spec sandbox.Spec) (*store.Workspace, error) {
	return store.Open(filepath.Join(d.opts.Folder, id, filesName), store.Limits{
		Bytes: spec.Limits.WorkspaceBytes, Files: int64(spec.Limits.WorkspaceFiles), Disk: &d.disk,
	})
}

// recovered is what the caller of a call that panicked is told. The log has the rest.
func (o Options) recovered(_ context.Context, call connect.Spec, _ http.Header, value any) error {
	o.Log.Error("a call about a session's files panicked", "call", call.Procedure, "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
	return connect.NewError(connect.CodeInternal, errors.New("the file server failed"))
}
