package deferred

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sandgate/sandgate/fileserver/store"
	"github.com/sandgate/sandgate/sandbox"
)

// Reconcile settles what an earlier driver on the same folder has left, as that of an engine does: sandboxes for
// whose id keep reports true go on, and all others are removed. Engine is the engine's own Reconcile, which is
// asked to keep the real sandboxes of those that go on too. A sandbox whose real one is gone is gone with its files.
// Where the engine does not answer ([sandbox.ErrUnavailable]) no files are touched but those that nobody wants, and
// what is returned is the engine's. It is called once, before anything else.
func (d *Driver) Reconcile(
	ctx context.Context, keep func(id string) bool, engine func(keep func(id string) bool) ([]sandbox.Sandbox, error),
) ([]sandbox.Sandbox, error) {
	entries, err := os.ReadDir(d.opts.Folder)
	if err != nil {
		return nil, fmt.Errorf("the folder of workspaces: %w", err)
	}
	var boxes []sandbox.Sandbox
	owners := map[string]*box{} // by the id of the real sandbox
	for _, entry := range entries {
		b, err := d.find(entry.Name(), keep)
		switch {
		case err != nil:
			d.opts.Log.Warn("a session's files were not taken over", "sandbox", entry.Name(), "err", err)
			d.remove(ctx, entry.Name())
		case b == nil:
			d.remove(ctx, entry.Name())
		case b.owner != "":
			owners[b.owner] = b.box
		default:
			boxes = append(boxes, b.box)
		}
	}
	made, err := engine(func(id string) bool { return owners[id] != nil || keep(id) })
	if errors.Is(err, sandbox.ErrUnavailable) {
		// Whoever cannot begin closes what he was given, and to close is to remove. The next one settles it.
		return made, err
	}
	for _, one := range made {
		if b := owners[one.ID()]; b != nil {
			delete(owners, one.ID())
			b.adopt(ctx, one)
			one = b
		}
		boxes = append(boxes, one)
	}
	for _, b := range owners {
		d.remove(ctx, b.id)
	}
	return boxes, err
}

// found is a sandbox of an earlier driver.
type found struct {
	*box

	owner string // the id of the real sandbox that has its files; empty: they are here
}

// find returns the sandbox of a directory, nil if it is not to be kept.
func (d *Driver) find(id string, keep func(id string) bool) (*found, error) {
	if !strings.HasPrefix(id, idPrefix) || !keep(id) {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	kept, err := readRecord(d.opts.Folder, id)
	if err != nil {
		return nil, err
	}
	b, err := d.open(id, kept.Spec)
	if err != nil {
		return nil, err
	}
	return &found{b, kept.Made}, nil
}

// adopt has a box go on with the real sandbox that it had. What that has used was charged by the gateway before.
func (b *box) adopt(ctx context.Context, made sandbox.Sandbox) {
	b.base = used(ctx, made)
	b.made.Store(&made)
	b.local.moved = true
	go b.follow(made)
	if err := b.removeFiles(context.Background()); err != nil {
		b.driver.opts.Log.Warn("files that a sandbox took over were not removed", "sandbox", b.id, "err", err)
	}
}

// remove removes a directory that no session has.
func (d *Driver) remove(ctx context.Context, name string) {
	path := filepath.Join(d.opts.Folder, name)
	err := store.Remove(ctx, filepath.Join(path, filesName))
	if err = errors.Join(err, os.RemoveAll(path)); err != nil {
		d.opts.Log.Warn("files that no session has were not removed", "path", path, "err", err)
	}
}
