package wasm

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	wazerosys "github.com/tetratelabs/wazero/sys"
)

// OutDir is the directory of a [Tree] below which a program may write.
const OutDir = "/out"

const (
	// maxNodes bounds the files and directories that a program makes.
	maxNodes = 1024
	// maxOpen bounds what it has open.
	maxOpen = 256
	// maxPath bounds a path, in bytes.
	maxPath = 4096
)

// A Tree is the file system of one run, all of it in memory: files to be read, and those that the program
// writes below [OutDir]. It has no links, no times and no owners, and nothing of it is a file of the host's, so
// that there is no path by which a program could leave it. It is for one goroutine at a time.
type Tree struct {
	root, out *node
	left      int64 // bytes that may still be written
	nodes     int   // that may still be made
	openable  int   // how many may still be opened
	number    uint64
	full      func() // is called where more is written than may be
}

// node is a file or a directory.
type node struct {
	number   uint64
	writable bool
	entries  map[string]*node // nil: it is a file
	data     []byte
}

// NewTree returns a tree that holds nothing, and of which most bytes may be written. Where it is not positive,
// there is no [OutDir].
func NewTree(most int64) *Tree {
	t := &Tree{left: most, nodes: maxNodes, openable: maxOpen, full: func() {}}
	t.root = t.newNode(true, false)
	if most > 0 {
		t.out = t.newNode(true, true)
		t.root.entries[strings.TrimPrefix(OutDir, "/")] = t.out
	}
	return t
}

func (t *Tree) newNode(dir, writable bool) *node {
	t.number++
	n := &node{number: t.number, writable: writable}
	if dir {
		n.entries = map[string]*node{}
	}
	return n
}

// Add adds a file to be read, and the directories above it. The path is absolute and clean, and not at or below
// [OutDir]. The data is not copied, and not changed.
func (t *Tree) Add(name string, data []byte) error {
	if !path.IsAbs(name) || path.Clean(name) != name || name == "/" || len(name) > maxPath {
		return fmt.Errorf("%q is no absolute path of a file", name)
	}
	names := strings.Split(name[1:], "/")
	at := t.root
	for _, dir := range names[:len(names)-1] {
		next := at.entries[dir]
		if next == nil {
			next = t.newNode(true, false)
			at.entries[dir] = next
		}
		if next.entries == nil {
			return fmt.Errorf("%q is below a file", name)
		}
		at = next
	}
	last := names[len(names)-1]
	if at.writable || at.entries[last] != nil {
		return fmt.Errorf("%q is there already, or where the program writes", name)
	}
	at.entries[last] = t.newNode(false, false)
	at.entries[last].data = data
	return nil
}

// A File is one that a program wrote.
type File struct {
	Path string // below OutDir, without a slash at its beginning; its names may hold any bytes but slashes
	Data []byte
}

// Written returns the files that were written, sorted by path.
func (t *Tree) Written() []File {
	if t.out == nil {
		return nil
	}
	files := written(nil, "", t.out)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

func written(files []File, at string, n *node) []File {
	for name, entry := range n.entries {
		if entry.entries != nil {
			files = written(files, at+name+"/", entry)
		} else {
			files = append(files, File{Path: at + name, Data: entry.data})
		}
	}
	return files
}

// mount returns the configuration that has a program see the tree as its root.
func (t *Tree) mount() wazero.FSConfig {
	config, ok := wazero.NewFSConfig().(sysfs.FSConfig)
	if !ok {
		return wazero.NewFSConfig() // which holds nothing; a test sees to it
	}
	return config.WithSysFSMount(treeFS{Tree: t}, "/")
}

// place is where a path leads.
type place struct {
	parent, found *node // found: nil where nothing is there
	last          string
}

// find returns what is at a path, and of what is not there the directory that it would be in and its name.
func (t *Tree) find(name string) (at place, errno sys.Errno) {
	if len(name) > maxPath {
		return at, sys.ENAMETOOLONG
	}
	at = place{parent: t.root, found: t.root}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return at, sys.EPERM
		case at.found == nil:
			return at, sys.ENOENT
		case at.found.entries == nil:
			return at, sys.ENOTDIR
		}
		at = place{parent: at.found, found: at.found.entries[part], last: part}
	}
	return at, 0
}

// create makes a file or a directory where nothing is.
func (t *Tree) create(at place, dir bool) (*node, sys.Errno) {
	if !at.parent.writable {
		return nil, sys.EROFS
	}
	if t.nodes == 0 {
		t.full()
		return nil, sys.EIO
	}
	t.nodes--
	made := t.newNode(dir, true)
	at.parent.entries[at.last] = made
	return made, 0
}

// resize makes a file longer or shorter.
func (t *Tree) resize(n *node, size int64) sys.Errno {
	grown := size - int64(len(n.data))
	if size < 0 {
		return sys.EINVAL
	}
	if grown > t.left {
		t.full()
		return sys.EIO
	}
	t.left -= grown
	if grown < 0 {
		n.data = slices.Clone(n.data[:size]) // or the rest would be held, and count no more
		return 0
	}
	from := len(n.data)
	n.data = slices.Grow(n.data, int(grown))[:size]
	clear(n.data[from:])
	return 0
}

func (n *node) stat() wazerosys.Stat_t {
	st := wazerosys.Stat_t{Ino: n.number, Nlink: 1, Size: int64(len(n.data)), Mode: 0o444}
	if n.entries != nil {
		st.Mode = fs.ModeDir | 0o555
	}
	if n.writable {
		st.Mode |= 0o200
	}
	return st
}
