package store

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	defaultTreeDepth   = 3
	defaultTreeEntries = 200
	maxTreeEntries     = 2000
	// maxTreeNames bounds the names that are read for a tree.
	maxTreeNames = 2 * maxWalkNames
)

// Tree shows a directory as a tree.
func (w *Workspace) Tree(ctx context.Context, req *sandgatev1.TreeRequest) (*sandgatev1.TreeResponse, error) {
	return on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.TreeResponse, error) {
		t := tree{view: v, hidden: req.GetIncludeHidden(), room: int(req.GetMaxEntries())}
		if t.room <= 0 {
			t.room = defaultTreeEntries
		}
		t.room = min(t.room, maxTreeEntries)
		depth := int(req.GetDepth())
		if depth <= 0 {
			depth = defaultTreeDepth
		}
		top := &branch{entry: &sandgatev1.TreeEntry{}, path: path}
		if err := t.grow(ctx, top, depth); err != nil {
			return nil, err
		}
		return &sandgatev1.TreeResponse{Path: validText(path), Unlisted: top.entry.GetUnlisted(), Entries: top.flatten(nil)}, nil
	})
}

// tree is a tree that grows level by level, so that each directory gets its share of what may be shown.
type tree struct {
	view   *view
	hidden bool
	room   int // for entries
	names  int // that were read
}

// branch is an entry of a tree and what is in it.
type branch struct {
	entry *sandgatev1.TreeEntry
	path  string
	below []*branch
}

// grow reads the directories of each level. On the last one it only counts what is in them.
func (t *tree) grow(ctx context.Context, top *branch, depth int) error {
	level := []*branch{top}
	for deep := 1; len(level) > 0; deep++ {
		var next []*branch
		for i, b := range level {
			share := 0
			if rest := len(level) - i; deep <= depth {
				share = (t.room + rest - 1) / rest
			}
			err := t.read(b, share, int32(deep))
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && (b == top || exhausted(err) != nil):
				return err
			case err != nil:
				b.entry.Unreadable = true
			}
			for _, below := range b.below {
				if below.entry.GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY {
					next = append(next, below)
				}
			}
		}
		level = next
	}
	return nil
}

// read reads a directory and adds as many of its entries as it has a share for.
func (t *tree) read(b *branch, share int, depth int32) error {
	at, err := t.view.find(b.path, depth == 1)
	if err != nil {
		return err
	}
	defer at.close()
	here, err := at.open(at.name)
	if err != nil {
		return err
	}
	defer here.close()
	names, err := t.list(here)
	if err != nil {
		return err
	}
	for i, name := range names {
		if len(b.below) >= share {
			b.entry.Unlisted = int64(len(names) - i)
			break
		}
		stat, err := here.stat(name)
		if errors.Is(err, unix.ENOENT) {
			continue // it went meanwhile
		}
		e := &sandgatev1.TreeEntry{Name: validText(name), Depth: depth, Type: fileType(stat)}
		switch e.GetType() {
		case sandgatev1.FileType_FILE_TYPE_FILE:
			e.Size = stat.Size
		case sandgatev1.FileType_FILE_TYPE_SYMLINK:
			target, _ := here.readLink(name) // it may be no link any more
			e.SymlinkTarget = validText(target)
		default:
		}
		b.below = append(b.below, &branch{entry: e, path: b.path + "/" + name})
		t.room--
	}
	return nil
}

// list returns the sorted names in a directory that are wanted.
func (t *tree) list(here folder) ([]string, error) {
	all, err := here.names(max(maxTreeNames-t.names, 1))
	if errors.Is(err, errTooMany) {
		return nil, fail(connect.CodeResourceExhausted, "DIRECTORY_TOO_LARGE", "list it, or use the shell",
			"there are more than %d entries", maxTreeNames)
	}
	t.names += len(all)
	names := all[:0]
	for _, name := range all {
		if t.hidden || !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, err
}

// flatten returns the entries below a branch, each before those in it.
func (b *branch) flatten(entries []*sandgatev1.TreeEntry) []*sandgatev1.TreeEntry {
	for _, below := range b.below {
		entries = below.flatten(append(entries, below.entry))
	}
	return entries
}
