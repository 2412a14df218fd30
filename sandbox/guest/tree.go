package guest

import (
	"context"
	"errors"
	"slices"
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
func (s *fileService) Tree(ctx context.Context, req *sandgatev1.TreeRequest) (*sandgatev1.TreeResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	t := tree{guest: s.guest, hidden: req.GetIncludeHidden(), room: int(req.GetMaxEntries()), buf: make([]byte, direntBuffer)}
	if t.room <= 0 {
		t.room = defaultTreeEntries
	}
	t.room = min(t.room, maxTreeEntries)
	depth := int(req.GetDepth())
	if depth <= 0 {
		depth = defaultTreeDepth
	}
	root := &branch{entry: &sandgatev1.TreeEntry{}}
	if err := t.grow(ctx, path, root, depth); err != nil {
		return nil, fileError(path, err)
	}
	res := &sandgatev1.TreeResponse{Path: validText(path), Unlisted: root.entry.GetUnlisted()}
	res.Entries = root.flatten(nil)
	return res, nil
}

// tree is a tree that grows level by level, so that each directory gets its share of what may be shown.
type tree struct {
	guest  *Guest
	hidden bool
	room   int // for entries
	names  int // that were read
	buf    []byte
}

// branch is an entry of a tree and what is in it.
type branch struct {
	entry *sandgatev1.TreeEntry
	path  string // below the root
	below []*branch
}

// grow reads the directories of each level. On the last one it only counts what is in them.
func (t *tree) grow(ctx context.Context, root string, top *branch, depth int) error {
	level := []*branch{top}
	for deep := 1; len(level) > 0; deep++ {
		var next []*branch
		for i, b := range level {
			share := 0
			if deep <= depth {
				share = (t.room + len(level) - i - 1) / (len(level) - i)
			}
			err := t.guest.asUser(ctx, func() error { return t.read(b, root, share, int32(deep)) })
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
func (t *tree) read(b *branch, root string, share int, depth int32) error {
	d, err := t.open(b, root)
	if err != nil {
		return err
	}
	defer d.close()
	names, err := t.list(d)
	if err != nil {
		return err
	}
	for i, name := range names {
		if len(b.below) >= share {
			b.entry.Unlisted = int64(len(names) - i)
			break
		}
		stat, err := d.statIn(name)
		if errors.Is(err, unix.ENOENT) {
			continue // it went meanwhile
		}
		e := &sandgatev1.TreeEntry{Name: validText(name), Depth: depth, Type: fileType(stat.Mode & unix.S_IFMT)}
		switch e.GetType() {
		case sandgatev1.FileType_FILE_TYPE_FILE:
			e.Size = stat.Size
		case sandgatev1.FileType_FILE_TYPE_SYMLINK:
			target, _ := d.readLink(name) // it may be no link any more
			e.SymlinkTarget = validText(target)
		default:
		}
		b.below = append(b.below, &branch{entry: e, path: b.path + "/" + name})
		t.room--
	}
	return nil
}

// open opens a directory of the tree: not by a symbolic link that took its place, and not if it is a view into
// the kernel.
func (t *tree) open(b *branch, root string) (directory, error) {
	if b.path == "" {
		return t.guest.openDirectory(root, toRead)
	}
	path := strings.TrimSuffix(root, "/") + b.path
	in, name, err := t.guest.parent(path)
	if err != nil {
		return -1, err
	}
	defer in.close()
	d, err := in.open(name)
	if err != nil {
		return -1, err
	}
	if err := t.guest.checkDirectory(d, path); err != nil {
		d.close()
		return -1, err
	}
	return d, nil
}

// list returns the sorted names in a directory. Beyond what may be read for a tree the directory counts as not
// readable.
func (t *tree) list(d directory) ([]string, error) {
	var names []string
	for {
		more, err := d.read(t.buf)
		if err != nil && !errors.Is(err, unix.ENOENT) { // which a removed directory says
			return nil, err
		}
		if len(more) == 0 {
			slices.Sort(names)
			return names, nil
		}
		if t.names += len(more); t.names > maxTreeNames {
			return nil, fail(connect.CodeResourceExhausted, "DIRECTORY_TOO_LARGE", "list it, or use the shell",
				"there are more than %d entries", maxTreeNames)
		}
		for _, name := range more {
			if t.hidden || !strings.HasPrefix(name, ".") {
				names = append(names, name)
			}
		}
	}
}

// flatten returns the entries below a branch, each before those in it.
func (b *branch) flatten(entries []*sandgatev1.TreeEntry) []*sandgatev1.TreeEntry {
	for _, below := range b.below {
		entries = below.flatten(append(entries, below.entry))
	}
	return entries
}
